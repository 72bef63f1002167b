"""Parses times as rules write them: instants, days of the week, times of day, zones. Has no clock."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

DAY_SECONDS = 86400.0
# The years of the calendar, less a day for the offset of any zone; times beyond are clamped.
_FIRST = datetime(1, 1, 2, tzinfo=UTC).timestamp()
_LAST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
_QUARTER = 900.0

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"(\d{1,2})(?::(\d{2})(?::(\d{2})(\.\d{1,9})?)?)?(?: ?([AaPp][Mm]))?")


class TimeFormatError(ValueError):
    """A text that is not a time; the message is for the operator."""


def parse_zone(name: str) -> tzinfo:
    """Returns the time zone of an IANA name. Raises `TimeFormatError`."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise TimeFormatError(f"unknown time zone `{name[:100]}`") from None


def parse_instant(text: str, *, default_zone: tzinfo) -> float:
    """Returns the Unix seconds of an ISO 8601 date; `default_zone` is the zone of one without an
    offset.

    Raises `TimeFormatError`.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise TimeFormatError(
            f"`{text[:100]}` is not a date such as `2026-03-05T08:00:00Z`"
        ) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=default_zone)).timestamp()


def parse_days(text: str) -> frozenset[int]:
    """Parses `*`, `mon`, `mon,wed` or `fri-mon` (around the end of the week) to numbers of days;
    Monday is 0. Raises `TimeFormatError`."""
    days: set[int] = set()
    for piece in text.lower().split(","):
        name = piece.strip()
        if name == "*":
            days.update(range(7))
            continue
        first, dash, last = name.partition("-")
        start = _day(first.strip())
        end = _day(last.strip()) if dash else start
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def _day(name: str) -> int:
    for number, day in enumerate(_DAYS):
        if name in (day, day[:3]):
            return number
    raise TimeFormatError(f"`{name[:100]}` is not a day of the week such as `mon` or `monday`")


def parse_time_of_day(text: str) -> float:
    """Returns the seconds since midnight of `15:04`, `15:04:05.5`, `3:04 PM` or `3PM`. Raises
    `TimeFormatError`."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise TimeFormatError(f"`{text[:100]}` is not a time such as `15:04` or `3:04 PM`")
    hour, minute, second, fraction, half = match.groups()
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    limit = (1, 12) if half else (0, 23)
    if not limit[0] <= hours <= limit[1] or minutes > 59 or seconds > 59 or not (half or minute):
        raise TimeFormatError(f"`{text[:100]}` is not a time such as `15:04` or `3:04 PM`")
    if half:
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    return hours * 3600.0 + minutes * 60.0 + seconds + float(fraction or 0)


def local_time(now: float, zone: tzinfo) -> tuple[int, float]:
    """Returns the day of the week (Monday is 0) and the seconds since midnight, as clocks in `zone`
    show them."""
    # A whole second, or the last microsecond of a day would count as the next one.
    local = datetime.fromtimestamp(math.floor(min(max(now, _FIRST), _LAST)), zone)
    offset = local.utcoffset() or timedelta()
    # Twice, because a tiny negative number is rounded up to a whole day.
    return local.weekday(), (now + offset.total_seconds()) % DAY_SECONDS % DAY_SECONDS


def next_quarter_hour(now: float) -> float:
    """Returns the next quarter of an hour of UTC: clocks change only there, so until then local
    time is steady."""
    return (now // _QUARTER + 1) * _QUARTER
