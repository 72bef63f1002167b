"""One question, one answer: parse, find the route and who asks, decide, answer, record.

Decides nothing itself: `policy.decide` does, and the adapters say it in their proxy's words. Here
is the one `except Exception` of the package: whatever goes wrong, nobody passes by accident.
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
    async def find(self, token: str, *, scope: str, provider: str) -> Session | None: ...


class Authenticators(Protocol):
    async def authenticate(self, request: CheckRequest, route: Route) -> Session | None:
        """Who brings credentials of their own that the route accepts; None where there are none
        that are for us. Raises `CredentialsRefused`; what cannot be known now is `AuthzError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """What is logged and counted of one check. `seconds` is how long it took; `error` is for the
    operator; `request` is None where the proxy's question could not be read. `credential` is the
    kind that the request itself brought, accepted or not; `header` the name of the one that it was
    denied for."""

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
    def record(self, check: CheckRecord) -> None: ...

    def repeat(self, check: CheckRecord) -> Callable[[float, str], None]:
        """Records a check that passed, as often as it passes again: told how long that took, and by
        what request id it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer:
    """`names` are the headers that no client may bring. `clock` tells the time, `timer` only how much
    of it has passed; `request_id` makes a new one."""

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
        started, request_id = self.timer(), self.request_id()
        request: CheckRequest | None = None
        result: AuthorizationResult | None = None
        error: str | None = None
        credential: str | None = None
        try:
            try:
                request = adapter.parse(raw)
                result = await self._authorize(request)
                credential = _credential_kind(result)
                answer = self.responses.response(request, result, request_id)
            except AuthzError as problem:
                error = str(problem)
                if isinstance(problem, CredentialsRefused):
                    credential = problem.kind
                answer = self.responses.error_response(problem, request, request_id)
            reply = adapter.render(answer, request)
        except Exception:
            logger.exception("check %s failed", request_id)
            error = "internal error"
            # Without a page: it may be the page that failed.
            answer = self.responses.error_response(AuthzError(error), None, request_id)
            reply = adapter.render(answer, request)
        self.recorder.record(
            CheckRecord(
                adapter=adapter.name,
                outcome=log_outcome(answer),
                status=reply.status,
                reasons=log_reasons(answer, result),
                seconds=self.timer() - started,
                request_id=request_id,
                request=request,
                route=result.route.name if result and result.route else None,
                session=result.session if result else None,
                credential=credential,
                header=result.header if result else None,
                error=error,
            )
        )
        return reply

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
        unknown: StoreUnavailable | None = None
        if route.identity != "none":
            try:
                result = await self._authorize_session(request, route, paths)
            except StoreUnavailable as problem:
                unknown = problem
            else:
                if result is not None:
                    return result
        decision = self._decide(route, request, None, paths)
        if unknown is not None and not (
            route.identity == "optional" and isinstance(decision, Allow)
        ):
            raise unknown
        # Where it is only nice to know who comes, nobody is kept out for not being known.
        return AuthorizationResult(decision=decision, route=route)

    def _authorize_credentials(
        self, request: CheckRequest, route: Route, session: Session, paths: tuple[str, ...]
    ) -> AuthorizationResult:
        """Whoever brings a credential is that one and nobody else: no session speaks for them."""
        decision = self._decide(route, request, session.identity, paths)
        if isinstance(decision, Challenge):  # a program cannot sign in once more
            decision = Deny(decision.reasons)
        return AuthorizationResult(decision=decision, route=route, session=session)

    async def _authorize_session(
        self, request: CheckRequest, route: Route, paths: tuple[str, ...]
    ) -> AuthorizationResult | None:
        """Among several providers' sessions the first that passes counts, else the first that would
        after another sign-in, else the first found."""
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
        # RFC 6455 section 10.2: browsers send cookies along from any site, and say which.
        claimed = request.header_values("origin")
        allowed = (str(request.origin), *map(str, route.allowed_origins))
        return all(origin in allowed for origin in claimed)


def path_interpretations(request: CheckRequest, index: RouteIndex) -> tuple[str, ...]:
    """Every path that the request's may be read as; raises `BadProxyRequest` for what is none."""
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
    """What is decided of a request under every reading of its path; raises `BadProxyRequest` where
    that is not one thing."""
    if len(paths) == 1:
        return decide(route.policy, request, identity, now=now)
    decisions = [
        decide(route.policy, replace(request, path=path), identity, now=now) for path in paths
    ]
    if len({(type(each), step_up_of(each)) for each in decisions}) != 1:
        raise BadProxyRequest(
            "the path has several readings, which are decided differently",
            public_message=_AMBIGUOUS,
        )
    return decisions[0]


def log_outcome(answer: AuthzResponse) -> str:
    """The word for it in logs and counts."""
    match answer:
        case Allowed():
            return "allow"
        case LoginRequired():
            return "sign-in"
        case Rejected(status=403):
            return "deny"
        case Rejected():
            return "refused" if answer.status in {400, 401, 429} else "unavailable"


def _credential_kind(result: AuthorizationResult) -> str | None:
    session = result.session
    if session is None or session.kind in {SessionKind.SIGN_IN, SessionKind.CHILD}:
        return None
    return session.kind


def log_reasons(answer: AuthzResponse, result: AuthorizationResult | None) -> tuple[str, ...]:
    if isinstance(answer, Rejected) and (result is None or isinstance(result.decision, Allow)):
        return (answer.reason,)
    return tuple(sorted(result.decision.reasons)) if result else ()
