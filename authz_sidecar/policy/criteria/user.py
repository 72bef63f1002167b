"""Criteria about the signed-in user: `authenticated_user`, `user`, `email`, `domain`, `groups`,
`claim/<path>`. Without a session the outcome of each is `user-unauthenticated`, negated ones
included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.policy.claims import values_at
from authz_sidecar.policy.matchers import list_matcher, string_matcher

if TYPE_CHECKING:
    from authz_sidecar.policy.criteria.base import CompileContext, Criterion
    from authz_sidecar.policy.subject import Subject


def authenticated_user(_data: object, compile_context: CompileContext) -> Criterion:
    """Compiles `authenticated_user`, which holds for every signed-in user."""
    return compile_context.subject_criterion(
        lambda subject: bool(subject.user), ok="user-ok", failed="user-unauthorized"
    )


def user(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `user`, which compares the user id; None after reporting problems."""
    matches = string_matcher(data, compile_context)
    if matches is None:
        return None

    def held(subject: Subject) -> bool:
        return subject.user is not None and matches(subject.user)

    return compile_context.subject_criterion(held, ok="user-ok", failed="user-unauthorized")


def email(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `email`; None after reporting problems."""
    matches = string_matcher(data, compile_context)
    if matches is None:
        return None
    return compile_context.subject_criterion(
        lambda subject: matches(subject.email), ok="email-ok", failed="email-unauthorized"
    )


def domain(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `domain`, which compares the part of the e-mail address after `@`; None after
    reporting problems."""
    matches = string_matcher(data, compile_context)
    if matches is None:
        return None

    def held(subject: Subject) -> bool:
        # Pomerium takes the second piece, also of `a@b@c`; without `@` there is no domain, which
        # not even `not` matches.
        pieces = subject.email.split("@", 2)
        return len(pieces) > 1 and matches(pieces[1])

    return compile_context.subject_criterion(held, ok="domain-ok", failed="domain-unauthorized")


def groups(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `groups`; None after reporting problems."""
    matches = list_matcher(data, compile_context)
    if matches is None:
        return None

    def held(subject: Subject) -> bool:
        return subject.groups is not None and matches(subject.groups)

    return compile_context.subject_criterion(
        held, ok="groups-ok", failed="groups-unauthorized", groups=_mentioned(data)
    )


def claim(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `claim/<path>`; None after reporting problems."""
    path = compile_context.sub_path
    if not path:
        compile_context.problem("`claim` needs the name of a claim: `claim/department`")
        return None
    matches = list_matcher(data, compile_context)
    if matches is None:
        return None
    return compile_context.subject_criterion(
        lambda subject: matches(values_at(subject.claims, path)),
        ok="claim-ok",
        failed="claim-unauthorized",
        groups=_mentioned(data) if path == "groups" else (),
    )


def _mentioned(data: object) -> tuple[str, ...]:
    operands = data.values() if isinstance(data, Mapping) else (data,)
    return tuple(operand for operand in operands if isinstance(operand, str))
