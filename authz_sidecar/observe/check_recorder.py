"""The recorder of checks: one log line and one count each. Decides which fields are logged, under
the names of Pomerium's authorize log; no cookie, no query (it may hold secrets), no header's value.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.errors import ProxyMisconfigured
from authz_sidecar.observe.logging import line_writer
from authz_sidecar.observe.misconfiguration import MisconfigurationLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.check.authorizer import CheckRecord
    from authz_sidecar.core.types import Identity
    from authz_sidecar.observe.metrics import Metrics
    from authz_sidecar.observe.metrics.check_metrics import CheckCounter

logger = logging.getLogger("authz_sidecar.check")

_MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecorder:
    """Records checks in log and metrics."""

    metrics: Metrics
    misconfigurations: MisconfigurationLog = field(default_factory=MisconfigurationLog)

    def allowed_counter(self, adapter: str) -> Callable[[float], bool]:
        """Return a function that counts an allowed check, given its seconds.

        It returns False, and counts nothing, when the check has to be logged too.
        """
        observe = self.metrics.check_counter(adapter=adapter, decision="allow", status=200).observe
        is_enabled = logger.isEnabledFor

        def count_allowed(seconds: float) -> bool:
            if is_enabled(logging.INFO):
                return False
            observe(seconds)
            return True

        return count_allowed

    def record(self, check: CheckRecord) -> None:
        """Count and log one check."""
        self._counter(check).observe(check.seconds)
        if check.credential is not None:
            self.metrics.count_credentials(kind=check.credential, outcome=check.outcome)
        if check.error is not None and _is_misconfigured(check):
            self.misconfigurations.report(check.adapter, check.error)
        if logger.isEnabledFor(_level(check)):
            self._line_writer(check)(_varying_fields(check.request_id, check.seconds))

    def repeat(self, check: CheckRecord) -> Callable[[float, str], None]:
        """Return a function that records the same check again, given seconds and request id."""
        observe = self._counter(check).observe
        if not logger.isEnabledFor(_level(check)):
            return lambda seconds, _request_id: observe(seconds)
        write = self._line_writer(check)

        def record(seconds: float, request_id: str) -> None:
            observe(seconds)
            write(_varying_fields(request_id, seconds))

        return record

    def _counter(self, check: CheckRecord) -> CheckCounter:
        return self.metrics.check_counter(
            adapter=check.adapter, decision=check.outcome, status=check.status
        )

    def _line_writer(self, check: CheckRecord) -> Callable[[Mapping[str, object]], None]:
        return line_writer(logger, _level(check), "authorize check", _constant_fields(check))


def _is_misconfigured(check: CheckRecord) -> bool:
    return ProxyMisconfigured.reason in check.reasons


def _level(check: CheckRecord) -> int:
    if check.error is None or _is_misconfigured(check):  # logged by `MisconfigurationLog`
        return logging.INFO
    return logging.ERROR if check.status >= 500 else logging.WARNING


def _groups(identity: Identity) -> list[str] | None:
    """Return all groups or None: an incomplete list would mislead when rules are tried on it."""
    return list(identity.groups) if sum(map(len, identity.groups)) <= _MAX_LENGTH else None


def _varying_fields(request_id: str, seconds: float) -> Mapping[str, object]:
    return {"request-id": request_id, "duration-ms": round(seconds * 1000, 3)}


def _constant_fields(check: CheckRecord) -> dict[str, object]:
    request, session = check.request, check.session
    identity = session.identity if session else None
    reasons = ",".join(sorted(check.reasons)) or None
    return {
        "check": check.adapter,
        "decision": check.outcome,
        "reasons": reasons,
        "status": check.status,
        "method": request and request.method,
        "host": request and request.origin.authority,
        "path": request and request.path[:_MAX_LENGTH],
        "ip": str(request.client) if request and request.client else None,
        "route-id": check.route,
        "session-id": session and session.public_id,
        "user": identity and identity.subject,
        "email": identity and identity.email,
        "provider": identity and identity.provider,
        "credential": check.credential,
        "header": check.header and check.header[:_MAX_LENGTH],
        "groups": identity and _groups(identity),
        "error": check.error and check.error[:_MAX_LENGTH],
    }
