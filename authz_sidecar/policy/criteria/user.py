"""Criteria about who is signed in: `authenticated_user`, `user`, `email`, `domain`, `groups`,
`claim/<path>`. Without a session each of them, negative ones too, comes to "sign in first"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.policy.claims import claim_values
from authz_sidecar.policy.matchers import list_matcher, string_matcher

if TYPE_CHECKING:
    from authz_sidecar.policy.criteria.base import Criterion, Site
    from authz_sidecar.policy.subject import Subject


def authenticated_user(_data: object, site: Site) -> Criterion:
    return site.about_subject(
        lambda subject: bool(subject.user), ok="user-ok", failed="user-unauthorized"
    )


def user(data: object, site: Site) -> Criterion | None:
    matches = string_matcher(data, site)
    if matches is None:
        return None

    def held(subject: Subject) -> bool:
        return subject.user is not None and matches(subject.user)

    return site.about_subject(held, ok="user-ok", failed="user-unauthorized")


def email(data: object, site: Site) -> Criterion | None:
    matches = string_matcher(data, site)
    if matches is None:
        return None
    return site.about_subject(
        lambda subject: matches(subject.email), ok="email-ok", failed="email-unauthorized"
    )


def domain(data: object, site: Site) -> Criterion | None:
    matches = string_matcher(data, site)
    if matches is None:
        return None

    def held(subject: Subject) -> bool:
        # Upstream takes the second piece, also of `a@b@c`; without `@` there is no domain, which
        # not even `not` matches.
        pieces = subject.email.split("@", 2)
        return len(pieces) > 1 and matches(pieces[1])

    return site.about_subject(held, ok="domain-ok", failed="domain-unauthorized")


def groups(data: object, site: Site) -> Criterion | None:
    matches = list_matcher(data, site)
    if matches is None:
        return None

    def held(subject: Subject) -> bool:
        return subject.groups is not None and matches(subject.groups)

    return site.about_subject(
        held, ok="groups-ok", failed="groups-unauthorized", groups=_mentioned(data)
    )


def claim(data: object, site: Site) -> Criterion | None:
    path = site.sub_path
    if not path:
        site.problem("`claim` needs the name of a claim: `claim/department`")
        return None
    matches = list_matcher(data, site)
    if matches is None:
        return None
    return site.about_subject(
        lambda subject: matches(claim_values(subject.claims, path)),
        ok="claim-ok",
        failed="claim-unauthorized",
        groups=_mentioned(data) if path == "groups" else (),
    )


def _mentioned(data: object) -> tuple[str, ...]:
    operands = data.values() if isinstance(data, Mapping) else (data,)
    return tuple(operand for operand in operands if isinstance(operand, str))
