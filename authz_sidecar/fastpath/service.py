"""One question, answered from memory, after one look into the store, or not at all: the gate's
decision without what surrounds it.

Decides only whether everything that the answer rests on is at hand. What is decided, and how it is
said, comes from where the gate has it; `tests/conformance/test_fastpath_equivalence.py` holds the two
together.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.base import Answer, Passed
from authz_sidecar.check.authorizer import CheckRecord, outcome_of, reasons_of
from authz_sidecar.check.responses import Judgement
from authz_sidecar.core.types import Allow, Deny
from authz_sidecar.core.urls import MalformedUrl, check_visible_ascii
from authz_sidecar.errors import AuthzError
from authz_sidecar.fastpath.header_blocks import Envelopes
from authz_sidecar.fastpath.raw_responses import head_of, written
from authz_sidecar.fastpath.request_parser import Questions
from authz_sidecar.fastpath.response_cache import Kept, Near, Pass, Sought, kept_with
from authz_sidecar.fastpath.route_cache import Places, Roads
from authz_sidecar.policy import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.adapters.trusted_peers import Networks
    from authz_sidecar.check.authorizer import Gate, Recorder
    from authz_sidecar.check.responses import Answers
    from authz_sidecar.core.types import Decision, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.fastpath.header_blocks import Envelope
    from authz_sidecar.fastpath.raw_responses import Written
    from authz_sidecar.fastpath.request_parser import Question
    from authz_sidecar.fastpath.response_cache import Held, Near
    from authz_sidecar.fastpath.route_cache import Way
    from authz_sidecar.policy import Residual

logger = logging.getLogger(__name__)

MOST_OF_NOBODY = 512
_ALWAYS = float("inf")
_NO_ROUTE = Judgement(decision=Deny(frozenset({"route-not-found"})))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """`trusts` judges a connection by `client` and `server` of its scope; `steady_until` says how
    long the headers for a session on a host stay what they are now. `passed`, by the adapter's name,
    counts what passed, told how long it took, and says whether that is all that anybody wants to
    know of it."""

    questions: Questions
    roads: Roads
    near: Near
    answers: Answers
    recorder: Recorder
    passed: Mapping[str, Callable[[float], bool]]
    trusts: Callable[[Mapping[str, Any]], bool]
    steady_until: Callable[[Session, Origin], float]
    clock: Callable[[], float]
    timer: Callable[[], float]
    request_id: Callable[[], str]
    _nobodys: Kept = field(default_factory=lambda: Kept(None, most=MOST_OF_NOBODY))

    def reply(self, data: bytes) -> Written | Sought | None:
        """To the question that is the whole of `data`; None where others have to answer it."""
        started = self.timer()
        try:
            envelope, target = self.questions.glance(data)
            if envelope is not None:
                path, _, query = target.partition(b"?")
                known = envelope.passes.get(path)
                if known is not None:
                    if query:
                        check_visible_ascii(query.decode("latin-1"))
                    now, held = self.clock(), known.held
                    if now < known.until and (held is None or self.near.still(held, now)):
                        if known.passed(self.timer() - started):
                            return known.written
                        if known.record is not None:
                            known.record(self.timer() - started, self.request_id())
                            return known.written
            question = self.questions.read(data)
            return None if question is None else self._answer(question, started)
        except (AuthzError, MalformedUrl):
            return None
        except Exception:
            # Whatever this was, it is asked again elsewhere.
            logger.exception("a question was left to the framework")
            return None

    async def find(self, sought: Sought) -> Written | None:
        """The reply once the session has been looked for; None where others have to answer."""
        question, way, token, scope, provider, started = sought
        try:
            held = await self.near.entry(token, scope=scope, provider=provider)
            now = self.clock()
            if held is not None and held.session.is_to_be_refreshed(now):
                return None
            return self._decide(question, way, held, started, now)
        except (AuthzError, MalformedUrl):
            return None
        except Exception:
            logger.exception("a question was left to the framework")
            return None

    def _answer(self, question: Question, started: float) -> Written | Sought | None:
        envelope = question.envelope
        road = self.roads.find(envelope.place, question.path)
        if road is None:
            return None
        if question.query:
            check_visible_ascii(question.query.decode("latin-1"))
        way = road.way
        if way is None:
            return self._tell(question, _NO_ROUTE, started)
        if not way.looks or envelope.cookie is None:
            return self._judge(question, way, None, started, self.clock())
        # Where several providers' sessions count, each has a cookie of its own.
        return None if way.provider is None else self._seek(question, way, way.provider, started)

    def _seek(
        self, question: Question, way: Way, provider: str, started: float
    ) -> Written | Sought | None:
        """With the session that is asked with, if there is one."""
        envelope, now = question.envelope, self.clock()
        token, scope = envelope.token(provider), envelope.place.scope
        if token is None:
            return self._judge(question, way, None, started, now)
        held = self.near.look(token, scope=scope, provider=provider, now=now)
        if held is not None:
            return self._judge(question, way, held, started, now)
        # While the store is away, it is for others to say so.
        return None if self.near.away else Sought(question, way, token, scope, provider, started)

    def _decide(
        self, question: Question, way: Way, held: Held | None, started: float, now: float
    ) -> Written | None:
        """For a session that was not in memory, and perhaps will not be: nothing is worked out
        beforehand for what it may ask next."""
        session = None if held is None else held.session
        identity = None if session is None else session.identity
        decision = decide(way.route.policy, question.request, identity, now=now)
        judged = Judgement(decision=decision, route=way.route, session=session)
        return self._tell(question, judged, started)

    def _judge(
        self, question: Question, way: Way, held: Held | None, started: float, now: float
    ) -> Written | None:
        session = None if held is None else held.session
        kept = self._nobodys if held is None else kept_with(held, self)
        residual = (
            way.nobodys(now) if session is None else kept.residual(way, session.identity, now=now)
        )
        judged = Judgement(decision=_decided(residual, question), route=way.route, session=session)
        envelope = question.envelope
        steady = isinstance(judged.decision, Allow) and envelope.dialect.repeats
        if not steady or way.route.set_request_headers:
            return self._tell(question, judged, started)
        key = envelope.dialect, envelope.place, way, envelope.cookie, envelope.kept
        ready = kept.ready.get(key)
        if ready is None or now >= ready[1]:
            keep = partial(self._keep, kept, key, held, envelope)
            return self._tell(question, judged, started, keep=keep)
        known = Pass(
            ready[0],
            until=min(ready[1], residual.until),
            held=held,
            passed=self.passed[envelope.dialect.name],
        )
        if way.lasts and (way.in_envelope or (question.repeats_headers and not way.asks_query)):
            envelope.keep(question.path, known)
        if not known.passed(self.timer() - started):
            # What else the answer says is in the reply that was kept.
            known.record = self.recorder.repeated(_recorded(question, judged, Passed(), status=200))
            known.record(self.timer() - started, self.request_id())
        return known.written

    def _tell(
        self,
        question: Question,
        judged: Judgement,
        started: float,
        *,
        keep: Callable[[Written], None] | None = None,
    ) -> Written | None:
        envelope, request = question.envelope, question.request
        request_id = self.request_id()
        answer = self.answers.answer(request, judged, request_id)
        reply = envelope.dialect.adapter.render(answer, request)
        head = head_of(reply)
        if head is None:
            return None
        body = b"" if envelope.bodiless else reply.body
        told = written(reply.status, head, body, kept=envelope.kept)
        if keep is not None and isinstance(answer, Passed):
            keep(told)
        self.recorder.record(
            _recorded(
                question,
                judged,
                answer,
                status=reply.status,
                seconds=self.timer() - started,
                request_id=request_id,
            )
        )
        return told

    def _keep(
        self, kept: Kept, key: object, held: Held | None, envelope: Envelope, told: Written
    ) -> None:
        before = kept.weight
        until = _ALWAYS
        if held is not None:
            session = held.session
            repeating = self.answers.repeating.steady_until(session)
            until = min(self.steady_until(session, envelope.place.origin), repeating)
        # The cookies stand in the key, and most of them in the answer.
        kept.keep(key, told, size=len(told.rest) + len(envelope.cookie or ""), until=until)
        if held is not None:
            self.near.weigh(held, kept.weight - before)


def _decided(residual: Residual, question: Question) -> Decision:
    constant = residual.constant
    return residual.decide(question.request) if constant is None else constant


def _recorded(
    question: Question,
    judged: Judgement,
    answer: Answer,
    *,
    status: int,
    seconds: float = 0.0,
    request_id: str = "",
) -> CheckRecord:
    return CheckRecord(
        adapter=question.envelope.dialect.name,
        outcome=outcome_of(answer),
        status=status,
        reasons=reasons_of(answer, judged),
        seconds=seconds,
        request_id=request_id,
        request=question.request,
        route=None if judged.route is None else judged.route.name,
        session=judged.session,
    )


def lane_beside(
    gate: Gate,
    *,
    adapters: Mapping[str, Adapter],
    trusted_hops: Networks,
    near: Near,
    passed: Callable[[str], Callable[[float], bool]],
    trusts: Callable[[Mapping[str, Any]], bool],
    steady_until: Callable[[Session, Origin], float],
    request_id: Callable[[], str],
) -> Lane:
    """`adapters` are those that the gate is asked through."""
    places = Places(gate.index, gate.cookies)
    return Lane(
        questions=Questions(
            adapters,
            envelopes=Envelopes(places=places, names=gate.names, trusted_hops=trusted_hops),
        ),
        roads=Roads(gate.index),
        near=near,
        answers=gate.answers,
        recorder=gate.recorder,
        passed={each.name: passed(each.name) for each in adapters.values()},
        trusts=trusts,
        steady_until=steady_until,
        clock=gate.clock,
        timer=gate.timer,
        request_id=request_id,
    )
