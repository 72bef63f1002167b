"""Recent denials by request id, so that operators can explain one that a user reports.

Keeps a bounded number of requests in memory, without cookies and credentials, and explains one on
demand, by the rules that denied it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import CheckRequest, RequestAttribute
from authz_sidecar.routes.explain import explain_request
from authz_sidecar.routes.explain_json import ExplanationJson, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.check.authorizer import CheckRecord, Recorder
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.source_locations import SourceMap
    from authz_sidecar.core.types import Headers, Identity
    from authz_sidecar.routes import RouteIndex

MAX_KEPT = 500
MAX_HEADER_BYTES = 4096
"""Of one request; larger headers are not kept, and count as unknown."""

_KEPT = frozenset({"deny", "refused"})
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class _Denial:
    request: CheckRequest
    identity: Identity | None
    now: float
    answered: tuple[str, int, tuple[str, ...], str | None, str | None]


class DenialJson(ExplanationJson):
    """The explanation of a denial.

    `answered` is the original result: rules may have depended on values that are not kept.
    """

    request_id: str
    answered: dict[str, object]


class RecentDenials:
    """A recorder that keeps denials, of this configuration and of the one before it."""

    def __init__(
        self,
        *,
        index: RouteIndex,
        names: ProtectedNames,
        source_map: SourceMap,
        base_path: str,
        recorder: Recorder,
        clock: Callable[[], float],
        previous: RecentDenials | None = None,
        max_kept: int = MAX_KEPT,
    ) -> None:
        self._index = index
        self._names = names
        self._source_map = source_map
        self._base_path = base_path
        self._recorder = recorder
        self._clock = clock
        self._max_kept = max_kept
        self._denials: OrderedDict[str, _Denial] = OrderedDict()
        self._previous = previous
        if previous is not None:
            previous._previous = None  # noqa: SLF001 - the same class

    def record(self, check: CheckRecord) -> None:
        """Record a check, and keep it when it was denied or refused."""
        self._recorder.record(check)
        if check.outcome not in _KEPT or check.request is None:
            return
        self._denials[check.request_id] = _Denial(
            request=_without_secrets(check.request),
            identity=check.session.identity if check.session else None,
            now=self._clock(),
            answered=(check.outcome, check.status, check.reasons, check.header, check.error),
        )
        while len(self._denials) > self._max_kept:
            self._denials.popitem(last=False)

    def repeat(self, check: CheckRecord) -> Callable[[float, str], None]:
        """Return the function of the wrapped recorder: allowed checks are not kept."""
        return self._recorder.repeat(check)

    def explain(self, request_id: str) -> DenialJson | None:
        """Return the explanation of a denial; None when it is not kept any more."""
        denial = self._denials.get(request_id)
        if denial is None:
            return None if self._previous is None else self._previous.explain(request_id)
        explanation = explain_request(
            self._index, denial.request, denial.identity, names=self._names, now=denial.now
        )
        outcome, status, reasons, header, error = denial.answered
        return {
            **to_json(explanation, source_map=self._source_map, base_path=self._base_path),
            "request_id": request_id,
            "answered": {
                "verdict": outcome,
                "status": status,
                "reasons": list(reasons),
                "header": header,
                "error": error,
            },
        }


def _without_secrets(request: CheckRequest) -> CheckRequest:
    headers: Headers = tuple(line for line in request.headers if line[0] not in _SECRET)
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return replace(
            request, headers=(), attributes=request.attributes - {RequestAttribute.HEADERS}
        )
    return replace(request, headers=headers)
