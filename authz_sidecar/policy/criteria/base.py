"""The compiled criterion, and the context in which a builder compiles it.

A builder turns the data of one criterion into a `Criterion`, or reports every problem in it and
returns None. Nothing that a builder returns can fail when a request is decided.
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


class Dependency(Flag):
    """What an outcome depends on. An outcome that depends on neither REQUEST nor RECORDS is known
    from the subject and the time alone."""

    NOTHING = 0
    SUBJECT = auto()
    TIME = auto()
    REQUEST = auto()
    RECORDS = auto()


Until = Callable[[Subject | None, float], float]
"""Returns the Unix time until which the outcome for (subject, now) stays the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A compiled criterion.

    - `sub_path`: what follows the first `/` of its name.
    - `data`, `path`: its value in the document, and where it stands.
    - `attributes`: the request attributes without which its outcome is unknown.
    - `stable_until`: until when an outcome stays the same; None when it does not depend on time.
    - `groups`: the group names it mentions.
    - `constant`: its outcome where that is always the same.
    - `device_type`: the type of device it needs.
    - `requirement`: what it requires of a sign-in.
    """

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
        """The name as it stands in the policy."""
        return f"{self.name}/{self.sub_path}" if self.sub_path else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileContext:
    """The place of a criterion in its document, and where its problems go.

    - `sub_path`: what follows the first `/` of its name.
    - `data`: its value.
    - `outcome_when_unknown`: what the criterion counts as when its attribute is unknown, so that
      its rule refuses. None is Pomerium's meaning: an absent input does not match.
    """

    name: str
    sub_path: str
    data: object
    source_map: SourceMap
    path: tuple[PathStep, ...]
    outcome_when_unknown: bool | None
    problems: list[Problem]

    def problem(self, message: str, *steps: PathStep) -> None:
        """Reports a problem at the criterion's value, or at `steps` below it."""
        self.problems.append(self.source_map.problem(message, *self.path, *steps))

    def scoped(self, *steps: PathStep) -> CompileContext:
        """Returns the context of a matcher inside the data."""
        return replace(self, path=(*self.path, *steps))

    def when_unknown(self, *, code: str, failing: int) -> int:
        """Returns the outcome for an unknown attribute, with `code` as its reason; `failing` where
        Pomerium's meaning applies."""
        if self.outcome_when_unknown is None:
            return failing
        return outcome_of_success(code) if self.outcome_when_unknown else outcome_of_failure(code)

    def criterion(
        self,
        test: Test,
        depends_on: Dependency,
        *,
        attributes: frozenset[RequestAttribute] = frozenset(),
        stable_until: Until | None = None,
        groups: tuple[str, ...] = (),
    ) -> Criterion:
        """Returns a criterion with this test."""
        return Criterion(
            name=self.name,
            sub_path=self.sub_path,
            data=self.data,
            path=self.path,
            test=test,
            depends_on=depends_on,
            attributes=attributes,
            stable_until=stable_until,
            groups=groups,
        )

    def subject_criterion(
        self,
        holds: Callable[[Subject], bool],
        *,
        ok: str,
        failed: str,
        groups: tuple[str, ...] = (),
    ) -> Criterion:
        """Returns a criterion about the signed-in user; without a session its outcome is
        `user-unauthenticated`."""
        success, failure = outcome_of_success(ok), outcome_of_failure(failed)

        def test(_request: object, subject: Subject | None, _now: float, _context: object) -> int:
            if subject is None:
                return UNAUTHENTICATED
            return success if holds(subject) else failure

        return self.criterion(test, Dependency.SUBJECT, groups=groups)

    def constant_criterion(self, outcome: int) -> Criterion:
        """Returns a criterion whose outcome is always the same."""

        def test(_request: object, _subject: object, _now: float, _context: object) -> int:
            return outcome

        return replace(self.criterion(test, Dependency.NOTHING), constant=outcome)


Builder = Callable[[object, CompileContext], Criterion | None]
"""Compiles the data of a criterion; returns None after reporting problems."""


def accept(_data: object, compile_context: CompileContext) -> Criterion:
    """Compiles `accept`, which always holds, whatever its data."""
    return compile_context.constant_criterion(outcome_of_success("accept"))


def reject(_data: object, compile_context: CompileContext) -> Criterion:
    """Compiles `reject`, which never holds, whatever its data."""
    return compile_context.constant_criterion(outcome_of_failure("reject"))
