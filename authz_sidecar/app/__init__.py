"""The composition root: builds the applications behind the listeners from a configuration.

The only place that constructs services; it decides nothing but which service gets which part.
"""

from authz_sidecar.app.application import Application
from authz_sidecar.app.factory import build_application

__all__ = ["Application", "build_application"]
