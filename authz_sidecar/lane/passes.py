"""What passed and will pass again: the answer, what it rests on, and for how long. And what can be
answered once a session has been looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.answers import Judgement
    from authz_sidecar.lane.near import Held
    from authz_sidecar.lane.questions import Question
    from authz_sidecar.lane.replies import Written
    from authz_sidecar.lane.roads import Way


class Pass(NamedTuple):
    """Good before `until`, as long as `held` stands; None where nobody is signed in. `passed` counts
    it, told how long it took, and says whether that is all that anybody wants to know."""

    written: Written
    until: float
    held: Held | None
    passed: Callable[[float], bool]
    judged: Judgement
    reasons: tuple[str, ...]


class Sought(NamedTuple):
    """Everything is at hand but the session of this token, which is not in memory."""

    question: Question
    way: Way
    token: str
    scope: str
    provider: str
    started: float
