"""The composition root: from a configuration to the applications behind the listeners. The only
place that builds things; it decides nothing but who gets what."""

from authz_sidecar.app.application import Application
from authz_sidecar.app.factory import build_application

__all__ = ["Application", "build_application"]
