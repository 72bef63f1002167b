"""Explains the response to a request: its interpretations, its route, and that route's policy.

Follows the order of the authorizer, for one given identity instead of the sessions of a cookie.
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
    """The verdicts of the check log."""

    ALLOW = "allow"
    SIGN_IN = "sign-in"
    DENY = "deny"
    REFUSED = "refused"
    """Malformed, or with interpretations that are decided differently: refused without a policy's
    decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """One interpretation of the path. `explanation` is None where no policy decided."""

    path: str
    route: Route | None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRequest:
    """The response to a request, explained.

    - `identity`: the identity that the policy saw.
    - `near_miss`: why a given identity does not count on this route.
    - `error`: why no policy decided.
    """

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
    """Returns why the request is answered as it is; `names` are the headers that a client must not
    send."""
    header = names.find_ambiguous(request.headers)
    if header is None:
        return _explained(index, request, identity, now=now)
    return _undecided(
        request,
        route=None,
        interpretations=[],
        reason="ambiguous-header",
        error=f"the header `{header}` could be taken for `{canonical_name(header)}`",
        now=now,
    )


def _explained(
    index: RouteIndex, request: CheckRequest, identity: Identity | None, *, now: float
) -> ExplainedRequest:
    def refused(error_text: str, *parsed: Interpretation) -> ExplainedRequest:
        return ExplainedRequest(
            request=request,
            verdict=ExplainedVerdict.REFUSED,
            reasons=frozenset({"bad-request"}),
            interpretations=parsed,
            error=error_text,
            now=now,
        )

    if len(request.header_values("authorization")) > 1:
        return refused("more than one `authorization` header")
    try:
        paths = interpretations(request.path, ignore_case=index.ignores_case(request.origin))
    except MalformedUrl as error:
        return refused(f"the path cannot be judged: {error}")
    parsed = [Interpretation(path=path, route=index.match(request.origin, path)) for path in paths]
    if len({id(interpretation.route) for interpretation in parsed}) != 1:
        return refused("the readings of the path lead to different routes", *parsed)
    route = parsed[0].route
    if route is None:
        return _undecided(
            request,
            route=None,
            interpretations=parsed,
            reason="route-not-found",
            error="no route matches this host and path",
            now=now,
        )
    refusal = _refused_upgrade(request, route)
    if refusal is not None:
        reason, error_text = refusal
        return _undecided(
            request, route=route, interpretations=parsed, reason=reason, error=error_text, now=now
        )
    near_miss = _near_miss(route, identity)
    effective_identity = None if near_miss else identity
    decided = tuple(
        Interpretation(
            path=path,
            route=route,
            explanation=explain(
                route.policy, replace(request, path=path), effective_identity, now=now
            ),
        )
        for path in paths
    )
    return _compare_decisions(
        request,
        route=route,
        decided=decided,
        identity=effective_identity,
        near_miss=near_miss,
        now=now,
    )


def _compare_decisions(
    request: CheckRequest,
    *,
    route: Route,
    decided: tuple[Interpretation, ...],
    identity: Identity | None,
    near_miss: str | None,
    now: float,
) -> ExplainedRequest:
    decisions = [item.explanation.decision for item in decided if item.explanation is not None]
    agree = len({(type(item), step_up_of(item)) for item in decisions}) == 1
    return ExplainedRequest(
        request=request,
        verdict=explained_verdict(decisions[0]) if agree else ExplainedVerdict.REFUSED,
        reasons=decisions[0].reasons if agree else frozenset({"bad-request"}),
        interpretations=decided,
        route=route,
        identity=identity,
        near_miss=near_miss,
        error=None if agree else "the readings of the path are decided differently",
        now=now,
    )


def _undecided(
    request: CheckRequest,
    *,
    route: Route | None,
    interpretations: list[Interpretation],
    reason: str,
    error: str,
    now: float,
) -> ExplainedRequest:
    return ExplainedRequest(
        request=request,
        verdict=ExplainedVerdict.DENY,
        reasons=frozenset({reason}),
        interpretations=tuple(interpretations),
        route=route,
        error=error,
        now=now,
    )


def explained_verdict(decision: Decision) -> ExplainedVerdict:
    """Returns the verdict of a decision."""
    match decision:
        case Allow():
            return ExplainedVerdict.ALLOW
        case Challenge():
            return ExplainedVerdict.SIGN_IN
        case Deny():
            return ExplainedVerdict.DENY


def _near_miss(route: Route, identity: Identity | None) -> str | None:
    if identity is None:
        return None
    if identity.is_service:
        if route.accepts_credentials_of(identity.provider):
            return None
        return f"a token of `{identity.provider}` is not accepted on this route"
    if route.identity == "none":
        return "this route looks up no session"
    if identity.provider not in route.providers:
        return f"a session of `{identity.provider}` is not accepted on this route"
    return None


def _refused_upgrade(request: CheckRequest, route: Route) -> tuple[str, str] | None:
    """The reason code, and its meaning; None where the upgrade is allowed."""
    if request.unsupported_upgrade:
        return "upgrade-not-allowed", "it asks to switch to another protocol than WebSocket"
    if request.websocket and not _may_upgrade(request, route):
        return "origin-not-allowed", "a page of another site opens a WebSocket"
    return None


def _may_upgrade(request: CheckRequest, route: Route) -> bool:
    allowed = (str(request.origin), *map(str, route.allowed_origins))
    return all(origin in allowed for origin in request.header_values("origin"))
