"""What somebody would be told who asked for an address now: for the sign-in, which has to know what
it is for, without knowing any rule. Asks as the gate asks, and decides nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Deny
from authz_sidecar.gate import alike, meanings_of
from authz_sidecar.policy import foreseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.step_up import StepUp
    from authz_sidecar.core.types import CheckRequest, Decision, Identity
    from authz_sidecar.routes import RouteIndex


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
        counts = route.identity != "none" and identity.provider in route.providers
        return alike(route, request, identity if counts else None, meanings, now=self.clock())
