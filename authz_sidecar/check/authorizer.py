"""One question, one answer: parse, find the route and who asks, decide, answer, record.

Decides nothing itself: `policy.decide` does, and the adapters say it in their proxy's words. Here
is the one `except Exception` of the package: whatever goes wrong, nobody passes by accident.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.adapters.base import Answer, Passed, Refused, SignInFirst
from authz_sidecar.check.responses import Answers, Judgement
from authz_sidecar.core.path_normalization import readings
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

    from authz_sidecar.adapters.base import Adapter, RawRequest, Reply
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.types import Identity
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.routes.model import Route
    from authz_sidecar.sessions.cookie import SessionCookies

logger = logging.getLogger(__name__)

_AMBIGUOUS = "The address can be read in more than one way, so it was refused."


class SessionFinder(Protocol):
    async def find(self, token: str, *, scope: str, provider: str) -> Session | None: ...


class CallerFinder(Protocol):
    async def identify(self, request: CheckRequest, route: Route) -> Session | None:
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

    def repeated(self, check: CheckRecord) -> Callable[[float, str], None]:
        """Records a check that passed, as often as it passes again: told how long that took, and by
        what request id it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """`names` are the headers that no client may bring. `clock` tells the time, `timer` only how much
    of it has passed; `request_id` makes a new one."""

    index: RouteIndex
    names: ProtectedNames
    sessions: SessionFinder
    callers: CallerFinder
    cookies: SessionCookies
    answers: Answers
    recorder: Recorder
    clock: Callable[[], float]
    timer: Callable[[], float]
    request_id: Callable[[], str]

    async def check(self, adapter: Adapter, raw: RawRequest) -> Reply:
        started, request_id = self.timer(), self.request_id()
        request: CheckRequest | None = None
        judged: Judgement | None = None
        error: str | None = None
        credential: str | None = None
        try:
            try:
                request = adapter.parse(raw)
                judged = await self._judge(request)
                credential = _credential(judged)
                answer = self.answers.answer(request, judged, request_id)
            except AuthzError as problem:
                error = str(problem)
                if isinstance(problem, CredentialsRefused):
                    credential = problem.kind
                answer = self.answers.trouble(problem, request, request_id)
            reply = adapter.render(answer, request)
        except Exception:
            logger.exception("check %s failed", request_id)
            error = "internal error"
            # Without a page: it may be the page that failed.
            answer = self.answers.trouble(AuthzError(error), None, request_id)
            reply = adapter.render(answer, request)
        self.recorder.record(
            CheckRecord(
                adapter=adapter.name,
                outcome=outcome_of(answer),
                status=reply.status,
                reasons=reasons_of(answer, judged),
                seconds=self.timer() - started,
                request_id=request_id,
                request=request,
                route=judged.route.name if judged and judged.route else None,
                session=judged.session if judged else None,
                credential=credential,
                header=judged.header if judged else None,
                error=error,
            )
        )
        return reply

    async def _judge(self, request: CheckRequest) -> Judgement:
        header = self.names.ambiguous(request.headers)
        if header is not None:
            return Judgement(decision=Deny(frozenset({"ambiguous-header"})), header=header)
        if len(request.header_values("authorization")) > 1:
            raise BadProxyRequest("more than one `authorization` header")
        meanings = meanings_of(request, self.index)
        routes = {
            id(route): route
            for path in meanings
            for route in (self.index.match(request.origin, path),)
        }
        if len(routes) != 1:
            raise BadProxyRequest(
                "the path has several readings, which lead to different routes",
                public=_AMBIGUOUS,
            )
        route = next(iter(routes.values()))
        if route is None:
            return Judgement(decision=Deny(frozenset({"route-not-found"})))
        if request.unsupported_upgrade:
            return Judgement(decision=Deny(frozenset({"upgrade-not-allowed"})), route=route)
        if request.websocket and not self._may_upgrade(request, route):
            return Judgement(decision=Deny(frozenset({"origin-not-allowed"})), route=route)
        return await self._judge_route(request, route, meanings)

    async def _judge_route(
        self, request: CheckRequest, route: Route, meanings: tuple[str, ...]
    ) -> Judgement:
        caller = await self.callers.identify(request, route)
        if caller is not None:
            return self._judge_caller(request, route, caller, meanings)
        unknown: StoreUnavailable | None = None
        if route.identity != "none":
            try:
                judged = await self._judge_people(request, route, meanings)
            except StoreUnavailable as problem:
                unknown = problem
            else:
                if judged is not None:
                    return judged
        decision = self._decide(route, request, None, meanings)
        if unknown is not None and not (
            route.identity == "optional" and isinstance(decision, Allow)
        ):
            raise unknown
        # Where it is only nice to know who comes, nobody is kept out for not being known.
        return Judgement(decision=decision, route=route)

    def _judge_caller(
        self, request: CheckRequest, route: Route, caller: Session, meanings: tuple[str, ...]
    ) -> Judgement:
        """Whoever brings a credential is that one and nobody else: no session speaks for them."""
        decision = self._decide(route, request, caller.identity, meanings)
        if isinstance(decision, Challenge):  # a program cannot sign in once more
            decision = Deny(decision.reasons)
        return Judgement(decision=decision, route=route, session=caller)

    async def _judge_people(
        self, request: CheckRequest, route: Route, meanings: tuple[str, ...]
    ) -> Judgement | None:
        """Among several providers' sessions the first that passes counts, else the first that would
        after another sign-in, else the first found."""
        refused: Judgement | None = None
        for provider in route.providers:
            session = await self._session(request, provider)
            if session is None:
                continue
            decision = self._decide(route, request, session.identity, meanings)
            judged = Judgement(decision=decision, route=route, session=session)
            if isinstance(decision, Allow):
                return judged
            if refused is None or (
                isinstance(decision, Challenge) and isinstance(refused.decision, Deny)
            ):
                refused = judged
        return refused

    async def _session(self, request: CheckRequest, provider: str) -> Session | None:
        name = self.cookies.name_for(provider, request.origin)
        token = self.cookies.read(request.header_values("cookie"), name)
        if token is None:
            return None
        scope = self.cookies.scope_for(request.origin)
        return await self.sessions.find(token, scope=scope, provider=provider)

    def _decide(
        self,
        route: Route,
        request: CheckRequest,
        identity: Identity | None,
        meanings: tuple[str, ...],
    ) -> Decision:
        return alike(route, request, identity, meanings, now=self.clock())

    def _may_upgrade(self, request: CheckRequest, route: Route) -> bool:
        # RFC 6455 section 10.2: browsers send cookies along from any site, and say which.
        claimed = request.header_values("origin")
        allowed = (str(request.origin), *map(str, route.allowed_origins))
        return all(origin in allowed for origin in claimed)


def meanings_of(request: CheckRequest, index: RouteIndex) -> tuple[str, ...]:
    """Every path that the request's may be read as; raises `BadProxyRequest` for what is none."""
    try:
        return readings(request.path, ignore_case=index.ignores_case(request.origin))
    except MalformedUrl as error:
        raise BadProxyRequest(f"path: {error}") from error


def alike(
    route: Route,
    request: CheckRequest,
    identity: Identity | None,
    meanings: tuple[str, ...],
    *,
    now: float,
) -> Decision:
    """What is decided of a request under every reading of its path; raises `BadProxyRequest` where
    that is not one thing."""
    if len(meanings) == 1:
        return decide(route.policy, request, identity, now=now)
    decisions = [
        decide(route.policy, replace(request, path=path), identity, now=now) for path in meanings
    ]
    if len({(type(each), step_up_of(each)) for each in decisions}) != 1:
        raise BadProxyRequest(
            "the path has several readings, which are decided differently", public=_AMBIGUOUS
        )
    return decisions[0]


def outcome_of(answer: Answer) -> str:
    """The word for it in logs and counts."""
    match answer:
        case Passed():
            return "allow"
        case SignInFirst():
            return "sign-in"
        case Refused(status=403):
            return "deny"
        case Refused():
            return "refused" if answer.status in {400, 401, 429} else "unavailable"


def _credential(judged: Judgement) -> str | None:
    session = judged.session
    if session is None or session.kind in {SessionKind.SIGN_IN, SessionKind.CHILD}:
        return None
    return session.kind


def reasons_of(answer: Answer, judged: Judgement | None) -> tuple[str, ...]:
    if isinstance(answer, Refused) and (judged is None or isinstance(judged.decision, Allow)):
        return (answer.reason,)
    return tuple(sorted(judged.decision.reasons)) if judged else ()
