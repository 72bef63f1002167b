"""One question, answered from memory or not at all: the gate's decision without its waiting.

Decides only whether everything that the answer rests on is at hand. What is decided, and how it is
said, comes from where the gate has it; `tests/conformance/test_lane_equivalence.py` holds the two
together.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authz_sidecar.answers import Judgement
from authz_sidecar.core.paths import readings
from authz_sidecar.core.types import Allow, Deny
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.errors import AuthzError
from authz_sidecar.gate import CheckRecord, outcome_of, reasons_of
from authz_sidecar.lane.lines import LONGEST_KEPT
from authz_sidecar.lane.replies import Written, head_of
from authz_sidecar.lane.ways import Kept, Near, Way, kept_with
from authz_sidecar.proxies.base import Passed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.answers import Answers
    from authz_sidecar.core.types import Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.gate import Recorder
    from authz_sidecar.lane.questions import Question, Questions
    from authz_sidecar.routes import Route, RouteIndex

logger = logging.getLogger(__name__)

MOST_OF_NOBODY = 512
_ALWAYS = float("inf")
_NO_ROUTE = Deny(frozenset({"route-not-found"}))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """`trusts` judges a connection by `client` and `server` of its scope; `steady_until` says how long
    the headers for a session on a host stay what they are now."""

    questions: Questions
    index: RouteIndex
    near: Near
    answers: Answers
    recorder: Recorder
    trusts: Callable[[Mapping[str, Any]], bool]
    steady_until: Callable[[Session, Origin], float]
    clock: Callable[[], float]
    timer: Callable[[], float]
    request_id: Callable[[], str]
    _ways: dict[int, Way] = field(default_factory=dict)
    _nobodys: Kept = field(default_factory=lambda: Kept(None, most=MOST_OF_NOBODY))

    def reply(self, data: bytes) -> Written | None:
        """To the question that is the whole of `data`; None where others have to answer it."""
        started = self.timer()
        try:
            question = self.questions.read(data)
            return None if question is None else self._answer(question, started)
        except Exception:
            # Nothing has been answered or recorded: whatever this was, it is asked again elsewhere.
            logger.exception("a question was left to the framework")
            return None

    def _answer(  # noqa: PLR0911 - so many ways not to know
        self, question: Question, started: float
    ) -> Written | None:
        request, place = question.request, question.place
        try:
            meanings = readings(request.path, ignore_case=place.ignores_case)
        except MalformedUrl:
            return None
        if len(meanings) != 1:
            return None
        route = self.index.match(place.origin, request.path)
        if route is None:
            return self._tell(question, Judgement(decision=_NO_ROUTE), started)
        way = self._way(route)
        cookie, now = question.cookie, self.clock()
        if cookie is None or route.identity == "none":
            return self._nobody(question, way, started, now=now)
        provider = way.provider
        if provider is None:
            return None
        token = place.token(cookie, provider)
        if token is None:
            return self._nobody(question, way, started, now=now)
        held = self.near.peek(token, scope=place.scope, provider=provider, now=now)
        if held is None:
            return None
        kept, session = kept_with(held, self), held.session
        decision = kept.residual(way, session.identity, now=now).decide(request)
        judged = Judgement(decision=decision, route=route, session=session)
        return self._told(question, judged, started, kept, now=now)

    def _nobody(
        self, question: Question, way: Way, started: float, *, now: float
    ) -> Written | None:
        decision = way.nobodys(now).decide(question.request)
        judged = Judgement(decision=decision, route=way.route)
        return self._told(question, judged, started, self._nobodys, now=now)

    def _told(
        self, question: Question, judged: Judgement, started: float, kept: Kept, *, now: float
    ) -> Written | None:
        route, decision, dialect = judged.route, judged.decision, question.dialect
        cookie = question.cookie
        if (
            route is None
            or not isinstance(decision, Allow)
            or route.set_request_headers
            or not dialect.repeats
            or (cookie is not None and cookie[1] is not None and len(cookie[1][1]) > LONGEST_KEPT)
        ):
            return self._tell(question, judged, started)
        key = dialect, question.place, route.name, None if cookie is None else cookie[1]
        ready = kept.ready.get(key)
        if ready is None or now >= ready[1]:
            return self._tell(question, judged, started, kept, key)
        request_id = self.request_id()
        self._record(
            question,
            judged,
            outcome="allow",
            status=200,
            reasons=_sorted(decision.reasons),
            request_id=request_id,
            started=started,
        )
        return Written(200, ready[0], b"", question.kept)

    def _way(self, route: Route) -> Way:
        way = self._ways.get(id(route))
        if way is None:
            way = self._ways[id(route)] = Way(route)
        return way

    def _tell(
        self,
        question: Question,
        judged: Judgement,
        started: float,
        kept: Kept | None = None,
        key: object = None,
    ) -> Written | None:
        dialect, request = question.dialect, question.request
        request_id = self.request_id()
        try:
            answer = self.answers.answer(request, judged, request_id)
            reply = dialect.adapter.render(answer, request)
        except AuthzError:
            return None
        head = head_of(reply)
        if head is None:
            return None
        if kept is not None and isinstance(answer, Passed):
            session = judged.session
            until = _ALWAYS if session is None else self.steady_until(session, request.origin)
            kept.keep_ready(key, head, until=until)
        self._record(
            question,
            judged,
            outcome=outcome_of(answer),
            status=reply.status,
            reasons=reasons_of(answer, judged),
            request_id=request_id,
            started=started,
        )
        return Written(reply.status, head, b"" if question.bodiless else reply.body, question.kept)

    def _record(
        self,
        question: Question,
        judged: Judgement,
        *,
        outcome: str,
        status: int,
        reasons: tuple[str, ...],
        request_id: str,
        started: float,
    ) -> None:
        route = judged.route
        self.recorder.record(
            CheckRecord(
                adapter=question.dialect.name,
                outcome=outcome,
                status=status,
                reasons=reasons,
                seconds=self.timer() - started,
                request_id=request_id,
                request=question.request,
                route=None if route is None else route.name,
                session=judged.session,
            )
        )


@lru_cache(maxsize=1024)
def _sorted(reasons: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(reasons))
