"""What somebody would be told who asked for an address now: for the sign-in, which has to know what
it is for, without knowing any rule. Asks as the gate asks, and decides nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.check.authorizer import alike, meanings_of
from authz_sidecar.core.types import Allow, Deny
from authz_sidecar.policy import foreseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.step_up import StepUp
    from authz_sidecar.core.types import CheckRequest, Decision, Identity
    from authz_sidecar.routes import Route, RouteIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    index: RouteIndex
    clock: Callable[[], float]

    def foreseen(self, request: CheckRequest) -> StepUp | None:
        """What will be asked of whoever signs in for this; raises `BadProxyRequest`."""
        meanings = meanings_of(request, self.index)
        route = self.index.match(request.origin, meanings[0])
        if route is None or len(meanings) > 1:
            return None
        policy = route.policy
        return foreseen(policy, request, now=self.clock(), evidence=policy.evidence)

    def would(self, request: CheckRequest, identity: Identity) -> Decision:
        """Raises `BadProxyRequest` where the readings of the path disagree."""
        meanings = meanings_of(request, self.index)
        routes = [self.index.match(request.origin, path) for path in meanings]
        route = routes[0]
        if route is None or any(other is not route for other in routes):
            return Deny(frozenset({"route-not-found"}))
        who = identity if _counts(route, identity) else None
        return alike(route, request, who, meanings, now=self.clock())

    def told(self, request: CheckRequest, identity: Identity) -> bool:
        """Whether it would pass, and as theirs: a page that asks for nobody, or for the people of
        another provider, is told of nobody. Raises `BadProxyRequest` as `would` does."""
        if not isinstance(self.would(request, identity), Allow):
            return False
        route = self.index.match(request.origin, request.path)
        return route is not None and _counts(route, identity)


def _counts(route: Route, identity: Identity) -> bool:
    return route.identity != "none" and identity.provider in route.providers
