"""What is kept with a session in memory and gone with it: its policies with everything settled that
no request changes, and the answers to what passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from authz_sidecar.policy import specialise

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.fastpath.raw_responses import Written

    # HOUSE-REMOVED
    from authz_sidecar.fastpath.request_parser import Question
    from authz_sidecar.fastpath.route_cache import Way
    from authz_sidecar.policy import Residual

MOST_READY = 16
"""Answers for one session: one for each proxy, host, route and set of other cookies."""

_KEY = "lane"
_OBJECTS = 300


class Held(Protocol):
    """A session in memory. What is put into `derived` goes when the session goes."""

    @property
    def session(self) -> Session: ...
    @property
    def derived(self) -> dict[object, object]: ...


class Near(Protocol):
    def look(self, token: str, *, scope: str, provider: str, now: float) -> Held | None:
        """The session if it is in memory and may be served now. Counts as its use."""

    def still(self, held: Any, /, now: float) -> bool:
        """Whether a session that was in memory is, and may be served now. Counts as its use."""

    @property
    def away(self) -> bool:
        """Whether the store did not answer a moment ago."""

    async def entry(self, token: str, *, scope: str, provider: str) -> Held | None:
        """The session, wherever it is. Counts as its use. Raises `StoreUnavailable`."""

    def weigh(self, entry: Any, more: int, /) -> None:
        """Count the bytes of what was put into its `derived`."""


class Kept:
    """What `owner` knows about one session; another configuration's lane starts afresh."""

    __slots__ = ("_most", "_residuals", "owner", "ready", "weight")

    def __init__(self, owner: object, *, most: int = MOST_READY) -> None:
        self.owner = owner
        self.ready: dict[object, tuple[Written, float]] = {}
        self.weight = _OBJECTS
        self._most = most
        self._residuals: dict[Way, Residual] = {}

    def residual(self, way: Way, identity: Identity, *, now: float) -> Residual:
        residual = self._residuals.get(way)
        if residual is None or now >= residual.until:
            residual = specialise(way.route.policy, identity, now=now)
            if len(self._residuals) >= self._most:
                self._residuals.clear()
            self._residuals[way] = residual
        return residual

    def keep(self, key: object, written: Written, *, size: int, until: float) -> None:
        """`size` is the memory it takes, in bytes and about."""
        if len(self.ready) >= self._most:
            self.ready.clear()
            self.weight = _OBJECTS
        if key not in self.ready:
            self.weight += _OBJECTS + size
        self.ready[key] = written, until


def kept_with(held: Held, owner: object) -> Kept:
    kept = held.derived.get(_KEY)
    if not isinstance(kept, Kept) or kept.owner is not owner:
        kept = held.derived[_KEY] = Kept(owner)
    return kept


class Pass:
    """Good before `until`, as long as `held` stands; None where nobody is signed in. `passed` counts
    it, told how long it took, and says whether that is all that anybody wants to know; `record` is
    for where it is not, made when it is wanted."""

    __slots__ = ("held", "passed", "record", "until", "written")

    def __init__(
        self,
        written: Written,
        *,
        until: float,
        held: Held | None,
        passed: Callable[[float], bool],
    ) -> None:
        self.written = written
        self.until = until
        self.held = held
        self.passed = passed
        self.record: Callable[[float, str], None] | None = None


class Sought(NamedTuple):
    """Everything is at hand but the session of this token, which is not in memory."""

    question: Question
    way: Way
    token: str
    scope: str
    provider: str
    started: float
