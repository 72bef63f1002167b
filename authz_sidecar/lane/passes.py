"""What passed and will pass again: the answer, what it rests on, and for how long. And what can be
answered once a session has been looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.lane.near import Held
    from authz_sidecar.lane.questions import Question
    from authz_sidecar.lane.replies import Written
    from authz_sidecar.lane.roads import Way


class Pass:
    """Good before `until`, as long as `held` stands; None where nobody is signed in. `passed` counts
    it, told how long it took, and says whether that is all that anybody wants to know; `record` is
    for where it is not, made when it is wanted."""

    __slots__ = ("held", "passed", "record", "until", "written")

    def __init__(
        self,
        written: Written,
        *,
        until: float,
        held: Held | None,
        passed: Callable[[float], bool],
    ) -> None:
        self.written = written
        self.until = until
        self.held = held
        self.passed = passed
        self.record: Callable[[float, str], None] | None = None


class Sought(NamedTuple):
    """Everything is at hand but the session of this token, which is not in memory."""

    question: Question
    way: Way
    token: str
    scope: str
    provider: str
    started: float
