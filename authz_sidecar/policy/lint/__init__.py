"""Policies that load and say something else than their authors mean."""

from authz_sidecar.policy.lint.codes import CODES, Code, Lines, Severity, is_ignored
from authz_sidecar.policy.lint.document import Found, lint

__all__ = ["CODES", "Code", "Found", "Lines", "Severity", "is_ignored", "lint"]
