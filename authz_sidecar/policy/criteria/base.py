"""What a compiled criterion is and what its builder may ask and say.

A builder turns the data of one criterion into a `Criterion`, or reports every problem in it and
returns None. Nothing that a builder returns can fail when a request is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import TYPE_CHECKING

from authz_sidecar.policy.reasons import UNAUTHENTICATED, fails, holds
from authz_sidecar.policy.subject import Subject

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import Positions, Step
    from authz_sidecar.core.step_up import StepUp
    from authz_sidecar.core.types import Fact
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.combinators import Test
    # HOUSE-REMOVED


class About(Flag):
    """What an outcome depends on; whatever depends on neither request nor evidence is known as
    soon as it is known who asks, and when."""

    NOTHING = 0
    SUBJECT = auto()
    TIME = auto()
    REQUEST = auto()
    EVIDENCE = auto()


Until = Callable[[Subject | None, float], float]
"""The instant until which the outcome for (subject, now) surely stays what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`path` leads to it in the document, `data` is what stands there; `facts` are those without
    which it is unknown; `groups` are the group names it mentions. `constant` is the outcome where
    it is always the same, `device_type` the kind of device asked for, `demand` what it asks of a
    sign-in."""

    name: str
    sub_path: str
    data: object
    path: tuple[Step, ...]
    test: Test
    about: About
    facts: frozenset[Fact] = frozenset()
    until: Until | None = None
    groups: tuple[str, ...] = ()
    constant: int | None = None
    device_type: str | None = None
    demand: StepUp | None = None

    @property
    def written(self) -> str:
        """Its name as it stands in the policy."""
        return f"{self.name}/{self.sub_path}" if self.sub_path else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a criterion stands. `sub_path` is what follows the first `/` of its name, `data` its
    value.

    `unknown` is what the criterion counts as when its fact did not arrive: whatever makes its rule
    refuse. None stands for the upstream meaning, in which an absent input simply does not match.
    """

    name: str
    sub_path: str
    data: object
    where: Positions
    path: tuple[Step, ...]
    unknown: bool | None
    problems: list[Problem]

    def problem(self, message: str, *steps: Step) -> None:
        self.problems.append(self.where.problem(message, *self.path, *steps))

    def below(self, *steps: Step) -> Site:
        """For a matcher inside of the data."""
        return replace(self, path=(*self.path, *steps))

    def when_unknown(self, *, code: str, failing: int) -> int:
        if self.unknown is None:
            return failing
        return holds(code) if self.unknown else fails(code)

    def criterion(
        self,
        test: Test,
        about: About,
        *,
        facts: frozenset[Fact] = frozenset(),
        until: Until | None = None,
        groups: tuple[str, ...] = (),
    ) -> Criterion:
        return Criterion(
            name=self.name,
            sub_path=self.sub_path,
            data=self.data,
            path=self.path,
            test=test,
            about=about,
            facts=facts,
            until=until,
            groups=groups,
        )

    def about_subject(
        self,
        held: Callable[[Subject], bool],
        *,
        ok: str,
        failed: str,
        groups: tuple[str, ...] = (),
    ) -> Criterion:
        """A question about a signed-in user; nobody signed in is the same answer to all of them."""
        passing, failing = holds(ok), fails(failed)

        def test(_request: object, subject: Subject | None, _now: float, _evidence: object) -> int:
            if subject is None:
                return UNAUTHENTICATED
            return passing if held(subject) else failing

        return self.criterion(test, About.SUBJECT, groups=groups)

    def constant(self, outcome: int) -> Criterion:
        def test(_request: object, _subject: object, _now: float, _evidence: object) -> int:
            return outcome

        return replace(self.criterion(test, About.NOTHING), constant=outcome)


Builder = Callable[[object, Site], Criterion | None]


def accept(_data: object, site: Site) -> Criterion:
    return site.constant(holds("accept"))


def reject(_data: object, site: Site) -> Criterion:
    return site.constant(fails("reject"))
