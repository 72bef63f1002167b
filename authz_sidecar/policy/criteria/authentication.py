"""`authentication`: how and how long ago somebody signed in (`max_age`, `acr`, `amr`).

Each condition that fails has a reason of its own, so that a sign-in can ask for what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.policy.criteria.base import About, Criterion, Site
from authz_sidecar.policy.reasons import UNAUTHENTICATED, fails, holds
from authz_sidecar.policy.suggest import unknown

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Subject

_KEYS = ("acr", "amr", "max_age")
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
_LONGEST = 1e9
_SECONDS = (86400, 3600, 60, 1)


def authentication(data: object, site: Site) -> Criterion | None:
    if not isinstance(data, Mapping) or not data:
        site.problem("takes an object with `max_age`, `acr` or `amr`")
        return None
    before = len(site.problems)
    for key in data:
        if key not in _KEYS:
            site.problem(unknown("condition", key, _KEYS), str(key))
    max_age = _max_age(data, site)
    acr = _names(data, "acr", site)
    amr = _names(data, "amr", site)
    return _criterion(max_age, acr, amr, site) if len(site.problems) == before else None


def _criterion(
    max_age: float | None, acr: frozenset[str] | None, amr: frozenset[str] | None, site: Site
) -> Criterion:
    ok = holds("authentication-ok")
    too_old = fails("authentication-too-old")
    wrong_acr, wrong_amr = fails("authentication-acr"), fails("authentication-amr")

    def test(_request: object, subject: Subject | None, now: float, _evidence: object) -> int:
        if subject is None:
            return UNAUTHENTICATED
        missing = 0
        if max_age is not None:
            at = subject.authenticated_at
            if at is None or now >= at + max_age:
                missing |= too_old
        if acr is not None and subject.acr not in acr:
            missing |= wrong_acr
        if amr is not None and not amr <= set(subject.amr):
            missing |= wrong_amr
        return missing or ok

    def until(subject: Subject | None, now: float) -> float:
        if max_age is None or subject is None or subject.authenticated_at is None:
            return float("inf")
        ends = subject.authenticated_at + max_age
        return ends if now < ends else float("inf")

    return site.criterion(test, About.SUBJECT | About.TIME, until=until)


def _max_age(data: Mapping[str, object], site: Site) -> float | None:
    if "max_age" not in data:
        return None
    value = data["max_age"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 < value <= _LONGEST:
            return float(value)
        value = None
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    pairs = zip(found.groups(), _SECONDS, strict=True) if found else ()
    seconds = float(sum(int(count) * unit for count, unit in pairs if count is not None))
    if not seconds:
        site.problem("takes a duration such as `30m` or `1h30m`", "max_age")
        return None
    return seconds


def _names(data: Mapping[str, object], key: str, site: Site) -> frozenset[str] | None:
    """`acr`: any of them will do; `amr`: all of them are needed."""
    if key not in data:
        return None
    value = data[key]
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        site.problem("takes a string or an array of strings", key)
        return None
    if not all(isinstance(name, str) and name for name in names):
        site.problem("takes a string or an array of strings", key)
        return None
    return frozenset(names)
