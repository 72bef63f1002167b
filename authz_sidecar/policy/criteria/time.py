"""`date`, `day_of_week`, `time_of_day`. `after` is inclusive, `before` exclusive; ranges may wrap
around the end of a week or a day; the default zone is UTC, but `time_of_day` must name one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import TypeVar

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy import times
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.reasons import outcome_of_failure, outcome_of_success
from authz_sidecar.policy.times import TimeFormatError

T = TypeVar("T")

_NEVER = float("inf")


def date(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `date`; None after reporting problems."""
    fields = _fields(data, compile_context, ("after", "before", "timezone"))
    if fields is None:
        return None
    before = len(compile_context.problems)
    zone = _zone(fields, compile_context) or UTC

    def read(text: str) -> float:
        return times.parse_instant(text, default_zone=zone)

    first, last = (
        _read(fields, "after", read, compile_context),
        _read(fields, "before", read, compile_context),
    )
    if first is not None and last is not None and last <= first:
        compile_context.problem("never holds: `before` is not later than `after`")
    if len(compile_context.problems) > before:
        return None
    start = -_NEVER if first is None else first
    end = _NEVER if last is None else last

    def stable_until(_subject: object, now: float) -> float:
        return min((bound for bound in (start, end) if bound > now), default=_NEVER)

    return _timed(lambda now: start <= now < end, compile_context, "date", stable_until)


def day_of_week(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `day_of_week`; None after reporting problems."""
    if isinstance(data, str):
        days = _parsed(data, times.parse_days, compile_context)
        return None if days is None else _on_days(days, UTC, compile_context)
    fields = _fields(data, compile_context, ("days", "timezone"), needed="days")
    if fields is None:
        return None
    before = len(compile_context.problems)
    zone = _zone(fields, compile_context) or UTC
    days = _read(fields, "days", times.parse_days, compile_context)
    if days is None or len(compile_context.problems) > before:
        return None
    return _on_days(days, zone, compile_context)


def _on_days(days: frozenset[int], zone: tzinfo, compile_context: CompileContext) -> Criterion:
    def stable_until(_subject: object, now: float) -> float:
        _, seconds = times.local_time(now, zone)
        return min(now + times.DAY_SECONDS - seconds, times.next_quarter_hour(now))

    return _timed(
        lambda now: times.local_time(now, zone)[0] in days,
        compile_context,
        "day-of-week",
        stable_until,
    )


def time_of_day(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `time_of_day`; None after reporting problems."""
    fields = _fields(data, compile_context, ("after", "before", "timezone"), needed="timezone")
    if fields is None:
        return None
    before = len(compile_context.problems)
    zone = _zone(fields, compile_context)
    first = _read(fields, "after", times.parse_time_of_day, compile_context)
    last = _read(fields, "before", times.parse_time_of_day, compile_context)
    if first is not None and first == last:
        compile_context.problem("never holds: `after` and `before` are the same")
    elif first is None and last == 0:
        compile_context.problem("never holds: no time of a day is before midnight")
    if zone is None or len(compile_context.problems) > before:
        return None
    start, end = first or 0.0, times.DAY_SECONDS if last is None else last
    wraps_midnight = start > end

    def holds(now: float) -> bool:
        _, seconds = times.local_time(now, zone)
        if wraps_midnight:
            return seconds >= start or seconds < end
        return start <= seconds < end

    def stable_until(_subject: object, now: float) -> float:
        _, seconds = times.local_time(now, zone)
        ahead = [bound - seconds for bound in (start, end, times.DAY_SECONDS) if bound > seconds]
        return min(now + min(ahead), times.next_quarter_hour(now))

    return _timed(holds, compile_context, "time-of-day", stable_until)


def _timed(
    holds: Callable[[float], bool],
    compile_context: CompileContext,
    code: str,
    stable_until: Callable[[object, float], float],
) -> Criterion:
    passing, failing = outcome_of_success(f"{code}-ok"), outcome_of_failure(f"{code}-unauthorized")

    def test(_request: object, _subject: object, now: float, _context: object) -> int:
        return passing if holds(now) else failing

    return compile_context.criterion(test, Dependency.TIME, stable_until=stable_until)


def _fields(
    data: object,
    compile_context: CompileContext,
    known: tuple[str, ...],
    *,
    needed: str | None = None,
) -> Mapping[str, object] | None:
    """The data when it is an object with known keys and at least one bound."""
    if not isinstance(data, Mapping):
        compile_context.problem(f"takes an object with {', '.join(f'`{key}`' for key in known)}")
        return None
    before = len(compile_context.problems)
    for key in data:
        if key not in known:
            compile_context.problem(unknown_name_message("condition", key, known), str(key))
    if needed is not None and needed not in data:
        compile_context.problem(f"needs `{needed}`")
    if not any(key in data for key in known if key != "timezone"):
        compile_context.problem("needs `after` or `before`" if needed != "days" else "needs `days`")
    return data if len(compile_context.problems) == before else None


def _zone(fields: Mapping[str, object], compile_context: CompileContext) -> tzinfo | None:
    return _read(fields, "timezone", times.parse_zone, compile_context)


def _read(
    fields: Mapping[str, object],
    key: str,
    read: Callable[[str], T],
    compile_context: CompileContext,
) -> T | None:
    if key not in fields:
        return None
    text = fields[key]
    if not isinstance(text, str):
        compile_context.problem("takes a string", key)
        return None
    return _parsed(text, read, compile_context, key)


def _parsed(
    text: str, read: Callable[[str], T], compile_context: CompileContext, *steps: str
) -> T | None:
    try:
        return read(text)
    except TimeFormatError as error:
        compile_context.problem(str(error), *steps)
        return None
