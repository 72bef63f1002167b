"""The cache lifetime of responses, for proxies that repeat a response to the same request.

Decides which responses depend on nothing but what such a proxy compares: method, scheme, host,
target, client address and cookies (`deploy/nginx/authz/cache.conf`). Must not know how a response
is rendered.
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
# Kinds of session that only a cookie finds.
_COOKIE_SESSIONS = frozenset({SessionKind.SIGN_IN, SessionKind.CHILD})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCacheability:
    """Decides how long a proxy may repeat a response.

    - `max_seconds`: the longest lifetime; 0 disables caching.
    - `clock`: the time in Unix seconds.
    - `behind_other_proxies`: whether the address that the proxy compares is not the client's.
    """

    max_seconds: int
    clock: Callable[[], float]
    behind_other_proxies: bool = False

    def max_age(self, request: CheckRequest, route: Route | None, session: Session | None) -> int:
        """Return the lifetime of an allowed response in whole seconds; 0 when it must not be
        cached."""
        if not self.max_seconds or route is None or not self._key_covers(route):
            return 0
        # An upgrade also depends on its Origin, a token on `Authorization`.
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
        """Return the Unix time from which on `max_age` may differ from now."""
        last = self._last_cacheable_instant(session)
        return last if self.max_seconds and self.clock() < last else float("inf")

    def _last_cacheable_instant(self, session: Session) -> float:
        """Return the last time at which a cached response still ends before the session; nginx
        rounds up to a second."""
        return session.expires_at - self.max_seconds - 1

    def _key_covers(self, route: Route) -> bool:
        policy = route.policy
        cache_key = (
            _CACHE_KEY_ATTRIBUTES - {RequestAttribute.CLIENT_ADDRESS}
            if self.behind_other_proxies
            else _CACHE_KEY_ATTRIBUTES
        )
        depends_on_time = bool(policy.depends_on & Dependency.TIME)
        return (
            policy.attributes <= cache_key and not depends_on_time and not route.set_request_headers
        )
