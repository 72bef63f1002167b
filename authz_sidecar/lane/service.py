"""One question, answered from memory or not at all: the gate's decision without its waiting.

Decides only whether everything that the answer rests on is at hand. What is decided, and how it is
said, comes from where the gate has it; `tests/conformance/test_lane_equivalence.py` holds the two
together.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from authz_sidecar.answers import Judgement
from authz_sidecar.core.types import Allow, Deny
from authz_sidecar.core.urls import MalformedUrl, check_visible_ascii
from authz_sidecar.errors import AuthzError
from authz_sidecar.gate import CheckRecord, outcome_of, reasons_of
from authz_sidecar.lane.memory import Memory
from authz_sidecar.lane.near import Kept, Near, kept_with
from authz_sidecar.lane.replies import Written, head_of
from authz_sidecar.proxies.base import Passed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.answers import Answers
    from authz_sidecar.core.types import Decision, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.gate import Recorder
    from authz_sidecar.lane.envelopes import Envelope
    from authz_sidecar.lane.near import Held
    from authz_sidecar.lane.questions import Question, Questions
    from authz_sidecar.lane.roads import Road, Roads, Way
    from authz_sidecar.policy import Residual

logger = logging.getLogger(__name__)

MOST_OF_NOBODY = 512
MOST_BYTES_OF_PASSES = 32 * 1024 * 1024
_ALWAYS = float("inf")
_NO_ROUTE = Judgement(decision=Deny(frozenset({"route-not-found"})))


class _Pass(NamedTuple):
    """What passed will pass again, until then: same envelope, same path, same session."""

    head: bytes
    until: float
    judged: Judgement
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """`trusts` judges a connection by `client` and `server` of its scope; `steady_until` says how
    long the headers for a session on a host stay what they are now. `passed` counts what passed and
    says whether that is all that anybody wants to know of it."""

    questions: Questions
    roads: Roads
    near: Near
    answers: Answers
    recorder: Recorder
    passed: Callable[[str, float], bool]
    trusts: Callable[[Mapping[str, Any]], bool]
    steady_until: Callable[[Session, Origin], float]
    clock: Callable[[], float]
    timer: Callable[[], float]
    request_id: Callable[[], str]
    _nobodys: Kept = field(default_factory=lambda: Kept(None, most=MOST_OF_NOBODY))
    _passes: Memory[tuple[Envelope, Kept, Road], _Pass] = field(
        default_factory=lambda: Memory(most=MOST_BYTES_OF_PASSES)
    )

    def reply(self, data: bytes) -> Written | None:
        """To the question that is the whole of `data`; None where others have to answer it."""
        started = self.timer()
        try:
            question = self.questions.read(data)
            return None if question is None else self._answer(question, started)
        except (AuthzError, MalformedUrl):
            return None
        except Exception:
            # Whatever this was, it is asked again elsewhere.
            logger.exception("a question was left to the framework")
            return None

    def _answer(self, question: Question, started: float) -> Written | None:
        envelope = question.envelope
        place = envelope.place
        road = self.roads.find(place, question.path)
        if road is None:
            return None
        if question.query:
            check_visible_ascii(question.query.decode("latin-1"))
        way = road.way
        if way is None:
            return self._tell(question, _NO_ROUTE, started)
        now = self.clock()
        kept, held = self._nobodys, None
        if way.looks and envelope.cookie is not None:
            if way.provider is None:
                return None
            token = envelope.token(way.provider)
            if token is not None:
                held = self.near.look(token, scope=place.scope, provider=way.provider, now=now)
                if held is None:
                    return None
                kept = kept_with(held, self)
        # Headers stand in the envelope, unless one of them was cut out.
        repeats = way.in_envelope or (question.id is None and not way.asks_query)
        known = self._passes.get((envelope, kept, road)) if repeats else None
        if known is not None and now < known.until:
            return self._pass(question, known, started)
        return self._judge(question, road, way, held, kept, started, now)

    def _pass(self, question: Question, known: _Pass, started: float) -> Written:
        envelope = question.envelope
        if not self.passed(envelope.dialect.name, self.timer() - started):
            self._record(
                question,
                known.judged,
                outcome="allow",
                status=200,
                reasons=known.reasons,
                request_id=self.request_id(),
                started=started,
            )
        return Written(200, known.head, b"", envelope.kept)

    def _judge(  # noqa: PLR0917 - once for each new sight, and then hardly ever
        self,
        question: Question,
        road: Road,
        way: Way,
        held: Held | None,
        kept: Kept,
        started: float,
        now: float,
    ) -> Written | None:
        session = None if held is None else held.session
        residual = (
            way.nobodys(now) if session is None else kept.residual(way, session.identity, now=now)
        )
        judged = Judgement(decision=_decided(residual, question), route=way.route, session=session)
        envelope = question.envelope
        steady = isinstance(judged.decision, Allow) and envelope.dialect.repeats
        if not steady or way.route.set_request_headers:
            return self._tell(question, judged, started)
        key = envelope.dialect, envelope.place, way, envelope.cookie
        head = kept.heads.get(key)
        if head is None or now >= head[1]:
            return self._tell(question, judged, started, kept, key, held)
        known = _Pass(
            head[0], min(head[1], residual.until), judged, tuple(sorted(judged.decision.reasons))
        )
        if not question.single:
            # Its envelope stays with it, which others have forgotten perhaps.
            size = envelope.size + len(known.head)
            self._passes.put((envelope, kept, road), known, size=size)
        return self._pass(question, known, started)

    def _tell(  # noqa: PLR0917 - as above
        self,
        question: Question,
        judged: Judgement,
        started: float,
        kept: Kept | None = None,
        key: object = None,
        held: Held | None = None,
    ) -> Written | None:
        envelope, request = question.envelope, question.request
        request_id = self.request_id()
        answer = self.answers.answer(request, judged, request_id)
        reply = envelope.dialect.adapter.render(answer, request)
        head = head_of(reply)
        if head is None:
            return None
        if kept is not None and isinstance(answer, Passed):
            self._keep(kept, key, head, held, envelope.place.origin)
        self._record(
            question,
            judged,
            outcome=outcome_of(answer),
            status=reply.status,
            reasons=reasons_of(answer, judged),
            request_id=request_id,
            started=started,
        )
        body = b"" if envelope.bodiless else reply.body
        return Written(reply.status, head, body, envelope.kept)

    def _keep(
        self, kept: Kept, key: object, head: bytes, held: Held | None, origin: Origin
    ) -> None:
        before = kept.weight
        until = _ALWAYS
        if held is not None:
            session = held.session
            repeating = self.answers.repeating.steady_until(session)
            until = min(self.steady_until(session, origin), repeating)
        kept.keep(key, head, until=until)
        if held is not None:
            self.near.weigh(held, kept.weight - before)

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
                adapter=question.envelope.dialect.name,
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


def _decided(residual: Residual, question: Question) -> Decision:
    constant = residual.constant
    return residual.decide(question.request) if constant is None else constant
