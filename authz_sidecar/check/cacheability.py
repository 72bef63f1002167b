"""For how long a proxy may say again what we said, to the same question, without asking.

Decides which answers depend on nothing but what such a proxy compares: method, scheme, host,
target, client address and cookies (`deploy/nginx/authz/cache.conf`). Must not know how it is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import CheckRequest, Fact, Session, SessionKind
from authz_sidecar.policy import About

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.routes import Route

_COMPARED = frozenset({Fact.METHOD, Fact.PATH, Fact.QUERY, Fact.CLIENT_ADDRESS})
# Found by a cookie, and by nothing else that a request may carry.
_BY_COOKIE = frozenset({SessionKind.SIGN_IN, SessionKind.CHILD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeating:
    """`seconds` is the longest, 0 where nothing is ever repeated. `clock` tells Unix seconds. `hops`:
    clients come by way of others, so that the address which is compared is not the one we judge."""

    seconds: int
    clock: Callable[[], float]
    hops: bool = False

    def seconds_for(
        self, request: CheckRequest, route: Route | None, session: Session | None
    ) -> int:
        """Of an allowed request, in whole seconds; 0 where it has to be asked about each time."""
        if not self.seconds or route is None or not self._compares_all(route):
            return 0
        # An upgrade is judged by its Origin, and who brings a token is known by that.
        if request.websocket or request.header_values("authorization"):
            return 0
        if session is None:
            return self.seconds if route.public else 0
        if session.kind not in _BY_COOKIE or self.clock() >= self._last(session):
            return 0
        return self.seconds

    def steady_until(self, session: Session) -> float:
        """The instant from which on it may be another number than now."""
        last = self._last(session)
        return last if self.seconds and self.clock() < last else float("inf")

    def _last(self, session: Session) -> float:
        """What is said from then on would outlive the session; nginx rounds up to a second."""
        return session.expires_at - self.seconds - 1

    def _compares_all(self, route: Route) -> bool:
        policy = route.policy
        compared = _COMPARED - {Fact.CLIENT_ADDRESS} if self.hops else _COMPARED
        timed = bool(policy.about & About.TIME)
        return policy.facts <= compared and not timed and not route.set_request_headers
