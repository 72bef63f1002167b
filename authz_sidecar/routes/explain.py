"""Why a request is answered as it is: its readings, its route, and that route's policy explained.

Follows the order of the gate, for one person known beforehand instead of the sessions of a cookie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from authz_sidecar.core.header_names import canonical_name
from authz_sidecar.core.path_normalization import interpretations
from authz_sidecar.core.types import Allow, Challenge, Deny, step_up_of
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.policy.explain import Explanation, explain

if TYPE_CHECKING:
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.types import CheckRequest, Decision, Identity
    from authz_sidecar.routes.index import RouteIndex
    from authz_sidecar.routes.model import Route


class ExplainedVerdict(StrEnum):
    """As the check log names them."""

    ALLOW = "allow"
    SIGN_IN = "sign-in"
    DENY = "deny"
    REFUSED = "refused"
    """Malformed, or with readings that disagree: never judged by a policy alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """One meaning of the path. `explanation` is None where no policy was asked about it."""

    path: str
    route: Route | None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRequest:
    """`identity` is who counted as signed in; `near_miss` says why somebody who is did not.
    `error` says what no policy was asked about."""

    request: CheckRequest
    verdict: ExplainedVerdict
    reasons: frozenset[str]
    interpretations: tuple[Interpretation, ...] = ()
    route: Route | None = None
    identity: Identity | None = None
    near_miss: str | None = None
    error: str | None = None
    now: float


def explain_request(
    index: RouteIndex,
    request: CheckRequest,
    identity: Identity | None,
    *,
    names: ProtectedNames,
    now: float,
) -> ExplainedRequest:
    """Why the request is answered as it is; `names` are the headers that no client may bring."""
    header = names.find_ambiguous(request.headers)
    if header is None:
        return _explained(index, request, identity, now=now)
    return _unjudged(
        request,
        route=None,
        found=[],
        reason="ambiguous-header",
        trouble=f"the header `{header}` could be taken for `{canonical_name(header)}`",
        now=now,
    )


def _explained(
    index: RouteIndex, request: CheckRequest, identity: Identity | None, *, now: float
) -> ExplainedRequest:
    def refused(trouble: str, *found: Interpretation) -> ExplainedRequest:
        return ExplainedRequest(
            request=request,
            verdict=ExplainedVerdict.REFUSED,
            reasons=frozenset({"bad-request"}),
            interpretations=found,
            error=trouble,
            now=now,
        )

    if len(request.header_values("authorization")) > 1:
        return refused("more than one `authorization` header")
    try:
        paths = interpretations(request.path, ignore_case=index.ignores_case(request.origin))
    except MalformedUrl as wrong:
        return refused(f"the path cannot be judged: {wrong}")
    found = [Interpretation(path=path, route=index.match(request.origin, path)) for path in paths]
    if len({id(reading.route) for reading in found}) != 1:
        return refused("the readings of the path lead to different routes", *found)
    route = found[0].route
    if route is None:
        return _unjudged(
            request,
            route=None,
            found=found,
            reason="route-not-found",
            trouble="no route has this place",
            now=now,
        )
    refusal = _refused_upgrade(request, route)
    if refusal is not None:
        reason, trouble = refusal
        return _unjudged(request, route=route, found=found, reason=reason, trouble=trouble, now=now)
    overlooked = _overlooked(route, identity)
    counted = None if overlooked else identity
    judged = tuple(
        Interpretation(
            path=path,
            route=route,
            explanation=explain(route.policy, replace(request, path=path), counted, now=now),
        )
        for path in paths
    )
    return _concluded(
        request, route=route, judged=judged, identity=counted, overlooked=overlooked, now=now
    )


def _concluded(
    request: CheckRequest,
    *,
    route: Route,
    judged: tuple[Interpretation, ...],
    identity: Identity | None,
    overlooked: str | None,
    now: float,
) -> ExplainedRequest:
    decisions = [each.explanation.decision for each in judged if each.explanation is not None]
    agree = len({(type(each), step_up_of(each)) for each in decisions}) == 1
    return ExplainedRequest(
        request=request,
        verdict=explained_verdict(decisions[0]) if agree else ExplainedVerdict.REFUSED,
        reasons=decisions[0].reasons if agree else frozenset({"bad-request"}),
        interpretations=judged,
        route=route,
        identity=identity,
        near_miss=overlooked,
        error=None if agree else "the readings of the path are decided differently",
        now=now,
    )


def _unjudged(
    request: CheckRequest,
    *,
    route: Route | None,
    found: list[Interpretation],
    reason: str,
    trouble: str,
    now: float,
) -> ExplainedRequest:
    return ExplainedRequest(
        request=request,
        verdict=ExplainedVerdict.DENY,
        reasons=frozenset({reason}),
        interpretations=tuple(found),
        route=route,
        error=trouble,
        now=now,
    )


def explained_verdict(decision: Decision) -> ExplainedVerdict:
    match decision:
        case Allow():
            return ExplainedVerdict.ALLOW
        case Challenge():
            return ExplainedVerdict.SIGN_IN
        case Deny():
            return ExplainedVerdict.DENY


def _overlooked(route: Route, identity: Identity | None) -> str | None:
    if identity is None:
        return None
    if identity.is_service:
        if route.accepts_credentials_of(identity.provider):
            return None
        return f"a token of `{identity.provider}` opens nothing on this route"
    if route.identity == "none":
        return "this route asks for no session"
    if identity.provider not in route.providers:
        return f"a session of `{identity.provider}` opens nothing on this route"
    return None


def _refused_upgrade(request: CheckRequest, route: Route) -> tuple[str, str] | None:
    """The reason, and what it means."""
    if request.unsupported_upgrade:
        return "upgrade-not-allowed", "it asks to switch to another protocol than WebSocket"
    if request.websocket and not _may_upgrade(request, route):
        return "origin-not-allowed", "a page of another site opens a WebSocket"
    return None


def _may_upgrade(request: CheckRequest, route: Route) -> bool:
    allowed = (str(request.origin), *map(str, route.allowed_origins))
    return all(origin in allowed for origin in request.header_values("origin"))
