"""What somebody would be told who asked for an address now: for the sign-in, which has to know what
it is for, without knowing any rule. Asks as the gate asks, and decides nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.check.authorizer import decide_all_interpretations, path_interpretations
from authz_sidecar.core.types import Allow, Deny
from authz_sidecar.policy import anticipate

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import CheckRequest, Decision, Identity
    from authz_sidecar.routes import Route, RouteIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPreview:
    index: RouteIndex
    clock: Callable[[], float]

    def anticipated_step_up(self, request: CheckRequest) -> AuthenticationRequirement | None:
        """What will be asked of whoever signs in for this; raises `BadProxyRequest`."""
        meanings = path_interpretations(request, self.index)
        route = self.index.match(request.origin, meanings[0])
        if route is None or len(meanings) > 1:
            return None
        policy = route.policy
        return anticipate(policy, request, now=self.clock(), context=policy.context)

    def decide(self, request: CheckRequest, identity: Identity) -> Decision:
        """Raises `BadProxyRequest` where the readings of the path disagree."""
        meanings = path_interpretations(request, self.index)
        routes = [self.index.match(request.origin, path) for path in meanings]
        route = routes[0]
        if route is None or any(other is not route for other in routes):
            return Deny(frozenset({"route-not-found"}))
        who = identity if _accepts_identity(route, identity) else None
        return decide_all_interpretations(route, request, who, meanings, now=self.clock())

    def receives_identity(self, request: CheckRequest, identity: Identity) -> bool:
        """Whether it would pass, and as theirs: a page that asks for nobody, or for the people of
        another provider, is told of nobody. Raises `BadProxyRequest` as `decide` does."""
        if not isinstance(self.decide(request, identity), Allow):
            return False
        route = self.index.match(request.origin, request.path)
        return route is not None and _accepts_identity(route, identity)


def _accepts_identity(route: Route, identity: Identity) -> bool:
    return route.identity != "none" and identity.provider in route.providers
