"""What a compiled criterion is and what its builder may ask and say.

A builder turns the data of one criterion into a `Criterion`, or reports every problem in it and
returns None. Nothing that a builder returns can fail when a request is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import TYPE_CHECKING

from authz_sidecar.policy.reasons import UNAUTHENTICATED, outcome_of_failure, outcome_of_success
from authz_sidecar.policy.subject import Subject

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep, SourceMap
    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import RequestAttribute
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.combinators import Test
    # HOUSE-REMOVED


class Dependency(Flag):
    """What an outcome depends on; whatever depends on neither request nor evidence is known as
    soon as it is known who asks, and when."""

    NOTHING = 0
    SUBJECT = auto()
    TIME = auto()
    REQUEST = auto()
    RECORDS = auto()


Until = Callable[[Subject | None, float], float]
"""The instant until which the outcome for (subject, now) surely stays what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`path` leads to it in the document, `data` is what stands there; `attributes` are those
    without which it is unknown; `groups` are the group names it mentions. `constant` is the
    outcome where it is always the same, `device_type` the kind of device asked for, `requirement`
    what it asks of a sign-in."""

    name: str
    sub_path: str
    data: object
    path: tuple[PathStep, ...]
    test: Test
    depends_on: Dependency
    attributes: frozenset[RequestAttribute] = frozenset()
    stable_until: Until | None = None
    groups: tuple[str, ...] = ()
    constant: int | None = None
    device_type: str | None = None
    requirement: AuthenticationRequirement | None = None

    @property
    def source_text(self) -> str:
        """Its name as it stands in the policy."""
        return f"{self.name}/{self.sub_path}" if self.sub_path else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileContext:
    """Where a criterion stands. `sub_path` is what follows the first `/` of its name, `data` its
    value.

    `outcome_when_unknown` is what the criterion counts as when its fact did not arrive: whatever
    makes its rule refuse. None stands for the upstream meaning, in which an absent input simply
    does not match.
    """

    name: str
    sub_path: str
    data: object
    source_map: SourceMap
    path: tuple[PathStep, ...]
    outcome_when_unknown: bool | None
    problems: list[Problem]

    def problem(self, message: str, *steps: PathStep) -> None:
        self.problems.append(self.source_map.problem(message, *self.path, *steps))

    def scoped(self, *steps: PathStep) -> CompileContext:
        """For a matcher inside of the data."""
        return replace(self, path=(*self.path, *steps))

    def when_unknown(self, *, code: str, failing: int) -> int:
        if self.outcome_when_unknown is None:
            return failing
        return outcome_of_success(code) if self.outcome_when_unknown else outcome_of_failure(code)

    def criterion(
        self,
        test: Test,
        about: Dependency,
        *,
        facts: frozenset[RequestAttribute] = frozenset(),
        until: Until | None = None,
        groups: tuple[str, ...] = (),
    ) -> Criterion:
        return Criterion(
            name=self.name,
            sub_path=self.sub_path,
            data=self.data,
            path=self.path,
            test=test,
            depends_on=about,
            attributes=facts,
            stable_until=until,
            groups=groups,
        )

    def subject_criterion(
        self,
        held: Callable[[Subject], bool],
        *,
        ok: str,
        failed: str,
        groups: tuple[str, ...] = (),
    ) -> Criterion:
        """A question about a signed-in user; nobody signed in is the same answer to all of them."""
        passing, failing = outcome_of_success(ok), outcome_of_failure(failed)

        def test(_request: object, subject: Subject | None, _now: float, _evidence: object) -> int:
            if subject is None:
                return UNAUTHENTICATED
            return passing if held(subject) else failing

        return self.criterion(test, Dependency.SUBJECT, groups=groups)

    def constant_criterion(self, outcome: int) -> Criterion:
        def test(_request: object, _subject: object, _now: float, _evidence: object) -> int:
            return outcome

        return replace(self.criterion(test, Dependency.NOTHING), constant=outcome)


Builder = Callable[[object, CompileContext], Criterion | None]


def accept(_data: object, site: CompileContext) -> Criterion:
    return site.constant_criterion(outcome_of_success("accept"))


def reject(_data: object, site: CompileContext) -> Criterion:
    return site.constant_criterion(outcome_of_failure("reject"))
