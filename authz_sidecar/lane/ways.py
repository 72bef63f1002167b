"""What a session comes to at a route: its policy with everything settled that no request changes,
and the answers to allowed requests, ready to be sent. Kept with the session and gone with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from authz_sidecar.policy import specialise

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.policy import Residual
    from authz_sidecar.routes import Route

MOST_READY = 16
"""Answers of one session at one time: one for each host, route and set of other cookies."""


class Held(Protocol):
    """A session in memory. What is put into `derived` goes when the session goes."""

    @property
    def session(self) -> Session: ...
    @property
    def derived(self) -> dict[object, object]: ...


class Near(Protocol):
    def peek(self, token: str, *, scope: str, provider: str, now: float) -> Held | None:
        """The session if it is in memory and may be served now. Counts as its use."""


class Kept:
    """What `owner` knows about one session; another configuration's lane starts afresh."""

    __slots__ = ("_most", "_residuals", "owner", "ready")

    def __init__(self, owner: object, *, most: int = MOST_READY) -> None:
        self.owner = owner
        self._most = most
        self.ready: dict[object, tuple[bytes, float]] = {}
        self._residuals: dict[Way, Residual] = {}

    def residual(self, way: Way, identity: Identity, *, now: float) -> Residual:
        residual = self._residuals.get(way)
        if residual is None or now >= residual.until:
            residual = specialise(way.route.policy, identity, now=now)
            if len(self._residuals) >= self._most:
                self._residuals.clear()
            self._residuals[way] = residual
        return residual

    def keep_ready(self, key: object, head: bytes, *, until: float) -> None:
        if len(self.ready) >= self._most:
            self.ready.clear()
        self.ready[key] = head, until


class Way:
    """One route. Compared by identity."""

    __slots__ = ("_residual", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self._residual: Residual | None = None

    @property
    def provider(self) -> str | None:
        """Whose sessions count here; None where none or several do."""
        providers = self.route.providers
        return providers[0] if len(providers) == 1 and self.route.identity != "none" else None

    def nobodys(self, now: float) -> Residual:
        """The policy for those who are not signed in."""
        residual = self._residual
        if residual is None or now >= residual.until:
            residual = self._residual = specialise(self.route.policy, None, now=now)
        return residual


_KEY = "lane"


def kept_with(held: Held, owner: object) -> Kept:
    kept = held.derived.get(_KEY)
    if not isinstance(kept, Kept) or kept.owner is not owner:
        kept = held.derived[_KEY] = Kept(owner)
    return kept
