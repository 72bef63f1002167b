"""Policies that load and say something else than their authors mean."""

from authz_sidecar.policy.lint.codes import CODES, Code, Severity
from authz_sidecar.policy.lint.comments import Lines, is_ignored
from authz_sidecar.policy.lint.document import Found, lint

__all__ = ["CODES", "Code", "Found", "Lines", "Severity", "is_ignored", "lint"]
