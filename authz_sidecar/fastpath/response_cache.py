"""What is kept with a session in memory and gone with it: its policies with everything settled that
no request changes, and the answers to what passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from authz_sidecar.policy import partially_evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.fastpath.raw_responses import RawResponse

    # HOUSE-REMOVED
    from authz_sidecar.fastpath.request_parser import ParsedCheck
    from authz_sidecar.fastpath.route_cache import RouteEntry
    from authz_sidecar.policy import Residual

MAX_PREPARED = 16
"""Answers for one session: one for each proxy, host, route and set of other cookies."""

_KEY = "lane"
_OBJECT_BYTES = 300


class CachedSession(Protocol):
    """A session in memory. What is put into `derived` goes when the session goes."""

    @property
    def session(self) -> Session: ...
    @property
    def derived(self) -> dict[object, object]: ...


class SessionCache(Protocol):
    def lookup(self, token: str, *, scope: str, provider: str, now: float) -> CachedSession | None:
        """The session if it is in memory and may be served now. Counts as its use."""

    def is_current(self, entry: Any, /, now: float) -> bool:
        """Whether a session that was in memory is, and may be served now. Counts as its use."""

    @property
    def is_store_down(self) -> bool:
        """Whether the store did not answer a moment ago."""

    async def fetch(self, token: str, *, scope: str, provider: str) -> CachedSession | None:
        """The session, wherever it is. Counts as its use. Raises `StoreUnavailable`."""

    def add_weight(self, entry: Any, size: int, /) -> None:
        """Count the bytes of what was put into its `derived`."""


class SessionResponses:
    """What `owner` knows about one session; another configuration's lane starts afresh."""

    __slots__ = ("_max_entries", "_residuals", "owner", "prepared", "weight")

    def __init__(self, owner: object, *, max_entries: int = MAX_PREPARED) -> None:
        self.owner = owner
        self.prepared: dict[object, tuple[RawResponse, float]] = {}
        self.weight = _OBJECT_BYTES
        self._max_entries = max_entries
        self._residuals: dict[RouteEntry, Residual] = {}

    def residual(self, entry: RouteEntry, identity: Identity, *, now: float) -> Residual:
        residual = self._residuals.get(entry)
        if residual is None or now >= residual.stable_until:
            residual = partially_evaluate(entry.route.policy, identity, now=now)
            if len(self._residuals) >= self._max_entries:
                self._residuals.clear()
            self._residuals[entry] = residual
        return residual

    def store(self, key: object, raw: RawResponse, *, size: int, until: float) -> None:
        """`size` is the memory it takes, in bytes and about."""
        if len(self.prepared) >= self._max_entries:
            self.prepared.clear()
            self.weight = _OBJECT_BYTES
        if key not in self.prepared:
            self.weight += _OBJECT_BYTES + size
        self.prepared[key] = raw, until


def responses_of(entry: CachedSession, owner: object) -> SessionResponses:
    responses = entry.derived.get(_KEY)
    if not isinstance(responses, SessionResponses) or responses.owner is not owner:
        responses = entry.derived[_KEY] = SessionResponses(owner)
    return responses


class CachedResponse:
    """Good before `until`, as long as `session_entry` stands; None where nobody is signed in.
    `count_allowed` counts it, told how long it took, and says whether that is all that anybody
    wants to know; `record` is for where it is not, made when it is wanted."""

    __slots__ = ("count_allowed", "raw", "record", "session_entry", "until")

    def __init__(
        self,
        raw: RawResponse,
        *,
        until: float,
        session_entry: CachedSession | None,
        count_allowed: Callable[[float], bool],
    ) -> None:
        self.raw = raw
        self.until = until
        self.session_entry = session_entry
        self.count_allowed = count_allowed
        self.record: Callable[[float, str], None] | None = None


class PendingLookup(NamedTuple):
    """Everything is at hand but the session of this token, which is not in memory."""

    check: ParsedCheck
    entry: RouteEntry
    token: str
    scope: str
    provider: str
    started: float
