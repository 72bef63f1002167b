"""The preview of a decision for the sign-in, which has to know the requirements of a request
without knowing any rule. Decides as the authorizer does, by the same functions."""

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
    """Previews decisions. `clock` returns Unix seconds."""

    index: RouteIndex
    clock: Callable[[], float]

    def anticipated_step_up(self, request: CheckRequest) -> AuthenticationRequirement | None:
        """Return the authentication requirement of a request, before anyone has signed in for it.

        None when there is no requirement or no single route. Raises `BadProxyRequest`.
        """
        paths = path_interpretations(request, self.index)
        route = self.index.match(request.origin, paths[0])
        if route is None or len(paths) > 1:
            return None
        policy = route.policy
        return anticipate(policy, request, now=self.clock(), context=policy.context)

    def decide(self, request: CheckRequest, identity: Identity) -> Decision:
        """Return the decision for an identity. Raises `BadProxyRequest` when the path's
        interpretations differ."""
        paths = path_interpretations(request, self.index)
        routes = [self.index.match(request.origin, path) for path in paths]
        route = routes[0]
        if route is None or any(other is not route for other in routes):
            return Deny(frozenset({"route-not-found"}))
        effective_identity = identity if _accepts_identity(route, identity) else None
        return decide_all_interpretations(
            route, request, effective_identity, paths, now=self.clock()
        )

    def receives_identity(self, request: CheckRequest, identity: Identity) -> bool:
        """Whether the request is allowed and its application receives this identity.

        False for anonymous routes and for routes of other providers. Raises `BadProxyRequest` as
        `decide` does.
        """
        if not isinstance(self.decide(request, identity), Allow):
            return False
        route = self.index.match(request.origin, request.path)
        return route is not None and _accepts_identity(route, identity)


def _accepts_identity(route: Route, identity: Identity) -> bool:
    return route.identity != "none" and identity.provider in route.providers
