"""Recent denials, so that operators can ask why by the request id that a user reads to them.

Keeps a bounded number of requests in memory, without cookies and credentials, and explains one when
it is asked for, by the rules that denied it.
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
"""Of one request; beyond it, its headers are not known any more."""

_KEPT = frozenset({"deny", "refused"})
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class _Denial:
    request: CheckRequest
    identity: Identity | None
    now: float
    answered: tuple[str, int, tuple[str, ...], str | None, str | None]


class DenialJson(ExplanationJson):
    """`answered` is what was said at the time: rules may have depended on what is not kept."""

    request_id: str
    answered: dict[str, object]


class RecentDenials:
    """Belongs to one configuration and remembers what its predecessor denied, but no older ones."""

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
            previous._previous = None  # noqa: SLF001 - one of us

    def record(self, check: CheckRecord) -> None:
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
        return self._recorder.repeat(check)  # what passes is not kept

    def explain(self, request_id: str) -> DenialJson | None:
        denial = self._denials.get(request_id)
        if denial is None:
            return None if self._previous is None else self._previous.explain(request_id)
        explained = explain_request(
            self._index, denial.request, denial.identity, names=self._names, now=denial.now
        )
        verdict, status, reasons, header, error = denial.answered
        return {
            **to_json(explained, source_map=self._source_map, base_path=self._base_path),
            "request_id": request_id,
            "answered": {
                "verdict": verdict,
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
