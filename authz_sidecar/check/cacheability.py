"""For how long a proxy may say again what we said, to the same question, without asking.

Decides which answers depend on nothing but what such a proxy compares: method, scheme, host,
target, client address and cookies (`deploy/nginx/authz/cache.conf`). Must not know how it is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import CheckRequest, RequestAttribute, Session, SessionKind
from authz_sidecar.policy import Dependency

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.routes import Route

_CACHE_KEY_ATTRIBUTES = frozenset(
    {
        RequestAttribute.METHOD,
        RequestAttribute.PATH,
        RequestAttribute.QUERY,
        RequestAttribute.CLIENT_ADDRESS,
    }
)
# Found by a cookie, and by nothing else that a request may carry.
_COOKIE_SESSIONS = frozenset({SessionKind.SIGN_IN, SessionKind.CHILD})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCacheability:
    """`max_seconds` is the longest, 0 where nothing is ever repeated. `clock` tells Unix seconds.
    `behind_other_proxies`: clients come by way of others, so that the address which is compared is
    not the one we judge."""

    max_seconds: int
    clock: Callable[[], float]
    behind_other_proxies: bool = False

    def max_age(self, request: CheckRequest, route: Route | None, session: Session | None) -> int:
        """Of an allowed request, in whole seconds; 0 where it has to be asked about each time."""
        if not self.max_seconds or route is None or not self._key_covers(route):
            return 0
        # An upgrade is judged by its Origin, and who brings a token is known by that.
        if request.websocket or request.header_values("authorization"):
            return 0
        if session is None:
            return self.max_seconds if route.public else 0
        if session.kind not in _COOKIE_SESSIONS or self.clock() >= self._last_cacheable_instant(
            session
        ):
            return 0
        return self.max_seconds

    def stable_until(self, session: Session) -> float:
        """The instant from which on it may be another number than now."""
        last = self._last_cacheable_instant(session)
        return last if self.max_seconds and self.clock() < last else float("inf")

    def _last_cacheable_instant(self, session: Session) -> float:
        """What is said from then on would outlive the session; nginx rounds up to a second."""
        return session.expires_at - self.max_seconds - 1

    def _key_covers(self, route: Route) -> bool:
        policy = route.policy
        compared = (
            _CACHE_KEY_ATTRIBUTES - {RequestAttribute.CLIENT_ADDRESS}
            if self.behind_other_proxies
            else _CACHE_KEY_ATTRIBUTES
        )
        timed = bool(policy.depends_on & Dependency.TIME)
        return policy.attributes <= compared and not timed and not route.set_request_headers
