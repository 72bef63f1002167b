"""What is cached with a session in memory and dropped with it: its partially evaluated policies,
and the responses to allowed requests.

Also the types of a cached response and of a pending session lookup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from authz_sidecar.policy import partially_evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.fastpath.raw_responses import RawResponse
    from authz_sidecar.fastpath.request_parser import ParsedCheck
    from authz_sidecar.fastpath.route_cache import RouteEntry
    from authz_sidecar.policy import Residual

MAX_PREPARED = 16
"""Responses per session: one for each proxy, host, route and set of other cookies."""

_KEY = "fast path"
_OBJECT_BYTES = 300


class CachedSession(Protocol):
    """A session in memory. Entries of `derived` are dropped with the session."""

    @property
    def session(self) -> Session:
        """The session itself."""

    @property
    def derived(self) -> dict[object, object]:
        """Values derived from the session, by key."""


class SessionCache(Protocol):
    """The sessions in memory."""

    def lookup(self, token: str, *, scope: str, provider: str, now: float) -> CachedSession | None:
        """Return the session if it is in memory and may be served now. Counts as a use of it."""

    def is_current(self, entry: Any, /, now: float) -> bool:
        """Whether a session is still in memory and may be served now. Counts as a use of it."""

    @property
    def is_store_down(self) -> bool:
        """Whether the store did not answer a moment ago."""

    async def fetch(self, token: str, *, scope: str, provider: str) -> CachedSession | None:
        """Return the session from memory or the store. Counts as a use of it. Raises
        `StoreUnavailable`."""

    def add_weight(self, entry: Any, size: int, /) -> None:
        """Add `size` bytes of the entry's `derived` values to its memory use."""


class SessionResponses:
    """The responses and residual policies of one session, for one `FastPath`, its `owner`."""

    __slots__ = ("_max_entries", "_residuals", "owner", "prepared", "weight")

    def __init__(self, owner: object, *, max_entries: int = MAX_PREPARED) -> None:
        self.owner = owner
        self.prepared: dict[object, tuple[RawResponse, float]] = {}
        self.weight = _OBJECT_BYTES
        self._max_entries = max_entries
        self._residuals: dict[RouteEntry, Residual] = {}

    def residual(self, entry: RouteEntry, identity: Identity, *, now: float) -> Residual:
        """Return the route's policy, partially evaluated for the identity, from the cache if
        possible."""
        residual = self._residuals.get(entry)
        if residual is None or now >= residual.stable_until:
            residual = partially_evaluate(entry.route.policy, identity, now=now)
            if len(self._residuals) >= self._max_entries:
                self._residuals.clear()
            self._residuals[entry] = residual
        return residual

    def store(self, key: object, raw: RawResponse, *, size: int, until: float) -> None:
        """Cache a response until the Unix time `until`; `size` is its approximate memory in bytes."""
        if len(self.prepared) >= self._max_entries:
            self.prepared.clear()
            self.weight = _OBJECT_BYTES
        if key not in self.prepared:
            self.weight += _OBJECT_BYTES + size
        self.prepared[key] = raw, until


def responses_of(entry: CachedSession, owner: object) -> SessionResponses:
    """Return the session's responses for `owner`; those of another owner are dropped."""
    responses = entry.derived.get(_KEY)
    if not isinstance(responses, SessionResponses) or responses.owner is not owner:
        responses = entry.derived[_KEY] = SessionResponses(owner)
    return responses


class CachedResponse:
    """A response that is valid before `until`, as long as `session_entry` is current.

    - `session_entry`: None for anonymous requests.
    - `count_allowed`: counts the response, given its duration; False when a full record is needed.
    - `record`: writes that record, given duration and request id; built when it is first needed.
    """

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
    """A parsed check whose session is not in memory and has to be fetched."""

    check: ParsedCheck
    entry: RouteEntry
    token: str
    scope: str
    provider: str
    started: float
