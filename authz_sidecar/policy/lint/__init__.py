"""Lint: finds policies that load but mean something else than they seem to."""

from authz_sidecar.policy.lint.codes import CODES, LintCode, Severity, SourceLines, is_ignored
from authz_sidecar.policy.lint.document import LintMatch, find_lint

__all__ = ["CODES", "LintCode", "LintMatch", "Severity", "SourceLines", "find_lint", "is_ignored"]
