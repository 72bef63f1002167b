"""The authorizer: parse a subrequest, find its route and caller, decide, respond, record.

Decides nothing itself: `policy.decide` does, and the adapters render the response. Has the one
`except Exception` of the package: after any error, no request passes by accident.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.adapters.base import Allowed, AuthzResponse, LoginRequired, Rejected
from authz_sidecar.check.responses import AuthorizationResult, ResponseFactory
from authz_sidecar.core.path_normalization import interpretations
from authz_sidecar.core.types import (
    Allow,
    Challenge,
    CheckRequest,
    Decision,
    Deny,
    Session,
    SessionKind,
    step_up_of,
)
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.errors import (
    AuthzError,
    BadProxyRequest,
    CredentialsRefused,
    StoreUnavailable,
)
from authz_sidecar.policy import decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.adapters.base import Adapter, HttpResponse, SubRequest
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.types import Identity
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.routes.model import Route
    from authz_sidecar.sessions.cookie import SessionCookies

logger = logging.getLogger(__name__)

_AMBIGUOUS = "The address can be read in more than one way, so it was refused."


class SessionFinder(Protocol):
    """Finds sessions by their token."""

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """Return the session; None when it does not exist. Raises `StoreUnavailable`."""


class Authenticators(Protocol):
    """Authenticates requests by the credentials in `Authorization`."""

    async def authenticate(self, request: CheckRequest, route: Route) -> Session | None:
        """Return the caller's session; None when there are no credentials that the route accepts.

        Raises `CredentialsRefused`, and another `AuthzError` when they cannot be verified now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """What is logged and counted of one check.

    - `seconds`: the duration.
    - `request`: None when the subrequest could not be parsed.
    - `credential`: the kind of credential in `Authorization`, accepted or not.
    - `header`: the name of the header for which the request was denied.
    - `error`: a message for the operator.
    """

    adapter: str
    outcome: str
    status: int
    reasons: tuple[str, ...]
    seconds: float
    request_id: str
    request: CheckRequest | None = None
    route: str | None = None
    session: Session | None = None
    credential: str | None = None
    header: str | None = None
    error: str | None = None


class Recorder(Protocol):
    """Records checks in log and metrics."""

    def record(self, check: CheckRecord) -> None:
        """Record one check."""

    def repeat(self, check: CheckRecord) -> Callable[[float, str], None]:
        """Return a function that records the same allowed check again, given seconds and request
        id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer:
    """Answers the subrequests of every adapter.

    - `names`: the headers that clients must not send.
    - `clock`: the time in Unix seconds.
    - `timer`: a monotonic time, for durations.
    - `request_id`: returns a new request id.
    """

    index: RouteIndex
    names: ProtectedNames
    sessions: SessionFinder
    authenticators: Authenticators
    cookies: SessionCookies
    responses: ResponseFactory
    recorder: Recorder
    clock: Callable[[], float]
    timer: Callable[[], float]
    request_id: Callable[[], str]

    async def check(self, adapter: Adapter, raw: SubRequest) -> HttpResponse:
        """Return the response to a subrequest, and record the check. Raises nothing."""
        started, request_id = self.timer(), self.request_id()
        request: CheckRequest | None = None
        result: AuthorizationResult | None = None
        error_message: str | None = None
        credential: str | None = None
        try:
            try:
                request = adapter.parse(raw)
                result = await self._authorize(request)
                credential = _credential_kind(result)
                response = self.responses.response(request, result, request_id)
            except AuthzError as error:
                error_message = str(error)
                if isinstance(error, CredentialsRefused):
                    credential = error.kind
                response = self.responses.error_response(error, request, request_id)
            http_response = adapter.render(response, request)
        except Exception:
            logger.exception("check %s failed", request_id)
            error_message = "internal error"
            # Without a page: its rendering may be what failed.
            response = self.responses.error_response(AuthzError(error_message), None, request_id)
            http_response = adapter.render(response, request)
        self.recorder.record(
            CheckRecord(
                adapter=adapter.name,
                outcome=log_outcome(response),
                status=http_response.status,
                reasons=log_reasons(response, result),
                seconds=self.timer() - started,
                request_id=request_id,
                request=request,
                route=result.route.name if result and result.route else None,
                session=result.session if result else None,
                credential=credential,
                header=result.header if result else None,
                error=error_message,
            )
        )
        return http_response

    async def _authorize(self, request: CheckRequest) -> AuthorizationResult:
        header = self.names.find_ambiguous(request.headers)
        if header is not None:
            return AuthorizationResult(
                decision=Deny(frozenset({"ambiguous-header"})), header=header
            )
        if len(request.header_values("authorization")) > 1:
            raise BadProxyRequest("more than one `authorization` header")
        paths = path_interpretations(request, self.index)
        routes = {
            id(route): route
            for path in paths
            for route in (self.index.match(request.origin, path),)
        }
        if len(routes) != 1:
            raise BadProxyRequest(
                "the path has several readings, which lead to different routes",
                public_message=_AMBIGUOUS,
            )
        route = next(iter(routes.values()))
        if route is None:
            return AuthorizationResult(decision=Deny(frozenset({"route-not-found"})))
        if request.unsupported_upgrade:
            return AuthorizationResult(
                decision=Deny(frozenset({"upgrade-not-allowed"})), route=route
            )
        if request.websocket and not self._is_allowed_origin(request, route):
            return AuthorizationResult(
                decision=Deny(frozenset({"origin-not-allowed"})), route=route
            )
        return await self._authorize_route(request, route, paths)

    async def _authorize_route(
        self, request: CheckRequest, route: Route, paths: tuple[str, ...]
    ) -> AuthorizationResult:
        caller = await self.authenticators.authenticate(request, route)
        if caller is not None:
            return self._authorize_credentials(request, route, caller, paths)
        store_error: StoreUnavailable | None = None
        if route.identity != "none":
            try:
                result = await self._authorize_session(request, route, paths)
            except StoreUnavailable as error:
                store_error = error
            else:
                if result is not None:
                    return result
        decision = self._decide(route, request, None, paths)
        if store_error is not None and not (
            route.identity == "optional" and isinstance(decision, Allow)
        ):
            raise store_error
        # With `identity: optional`, a request that anonymous callers may send needs no session.
        return AuthorizationResult(decision=decision, route=route)

    def _authorize_credentials(
        self, request: CheckRequest, route: Route, session: Session, paths: tuple[str, ...]
    ) -> AuthorizationResult:
        """Decide for the caller of the credentials alone: no session is used beside them."""
        decision = self._decide(route, request, session.identity, paths)
        if isinstance(decision, Challenge):  # a program cannot sign in again
            decision = Deny(decision.reasons)
        return AuthorizationResult(decision=decision, route=route, session=session)

    async def _authorize_session(
        self, request: CheckRequest, route: Route, paths: tuple[str, ...]
    ) -> AuthorizationResult | None:
        """Return the result for the best session of the route's providers; None when there is no
        session.

        The first allowed session wins, then the first that another sign-in would allow, then the
        first.
        """
        best: AuthorizationResult | None = None
        for provider in route.providers:
            session = await self._session(request, provider)
            if session is None:
                continue
            decision = self._decide(route, request, session.identity, paths)
            result = AuthorizationResult(decision=decision, route=route, session=session)
            if isinstance(decision, Allow):
                return result
            if best is None or (
                isinstance(decision, Challenge) and isinstance(best.decision, Deny)
            ):
                best = result
        return best

    async def _session(self, request: CheckRequest, provider: str) -> Session | None:
        name = self.cookies.name_for(provider, request.origin)
        token = self.cookies.read_token(request.header_values("cookie"), name)
        if token is None:
            return None
        scope = self.cookies.scope_for(request.origin)
        return await self.sessions.find(token, scope=scope, provider=provider)

    def _decide(
        self,
        route: Route,
        request: CheckRequest,
        identity: Identity | None,
        paths: tuple[str, ...],
    ) -> Decision:
        return decide_all_interpretations(route, request, identity, paths, now=self.clock())

    def _is_allowed_origin(self, request: CheckRequest, route: Route) -> bool:
        # RFC 6455 section 10.2: browsers send cookies from any site, and name it in `Origin`.
        claimed = request.header_values("origin")
        allowed = (str(request.origin), *map(str, route.allowed_origins))
        return all(origin in allowed for origin in claimed)


def path_interpretations(request: CheckRequest, index: RouteIndex) -> tuple[str, ...]:
    """Return every interpretation of the request's path. Raises `BadProxyRequest` for a malformed
    path."""
    try:
        return interpretations(request.path, ignore_case=index.ignores_case(request.origin))
    except MalformedUrl as error:
        raise BadProxyRequest(f"path: {error}") from error


def decide_all_interpretations(
    route: Route,
    request: CheckRequest,
    identity: Identity | None,
    paths: tuple[str, ...],
    *,
    now: float,
) -> Decision:
    """Return the decision that all interpretations of the path share.

    Raises `BadProxyRequest` when they differ.
    """
    if len(paths) == 1:
        return decide(route.policy, request, identity, now=now)
    decisions = [
        decide(route.policy, replace(request, path=path), identity, now=now) for path in paths
    ]
    if len({(type(decision), step_up_of(decision)) for decision in decisions}) != 1:
        raise BadProxyRequest(
            "the path has several readings, which are decided differently",
            public_message=_AMBIGUOUS,
        )
    return decisions[0]


def log_outcome(response: AuthzResponse) -> str:
    """Return the outcome of a check, as logs and metrics name it."""
    match response:
        case Allowed():
            return "allow"
        case LoginRequired():
            return "sign-in"
        case Rejected(status=403):
            return "deny"
        case Rejected():
            return "refused" if response.status in {400, 401, 429} else "unavailable"


def _credential_kind(result: AuthorizationResult) -> str | None:
    session = result.session
    if session is None or session.kind in {SessionKind.SIGN_IN, SessionKind.CHILD}:
        return None
    return session.kind


def log_reasons(response: AuthzResponse, result: AuthorizationResult | None) -> tuple[str, ...]:
    """Return the reason codes of a check for the log."""
    if isinstance(response, Rejected) and (result is None or isinstance(result.decision, Allow)):
        return (response.reason,)
    return tuple(sorted(result.decision.reasons)) if result else ()
