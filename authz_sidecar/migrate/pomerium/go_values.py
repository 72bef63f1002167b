"""Parses values as Pomerium's loader does: Go's booleans and durations, and lists of text."""

from __future__ import annotations

import re
from typing import Any

# Go's strconv.ParseBool.
_TRUE_WORDS = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE_WORDS = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def parse_go_bool(value: object) -> bool:
    """Return whether a value is true in Go's `strconv.ParseBool`."""
    return value is True or value == 1 or (isinstance(value, str) and value in _TRUE_WORDS)


def is_go_bool(value: object) -> bool:
    """Whether a value is a boolean in Go's `strconv.ParseBool`."""
    words = isinstance(value, str) and value in _TRUE_WORDS | _FALSE_WORDS
    return words or value in (0, 1)


def parse_go_duration(value: object) -> float | None:
    """Return the seconds of a duration in Go's `time.ParseDuration`, or None for anything else."""
    text = str(value)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def parse_string_list(value: object) -> list[str]:
    """Return the items of a list, or of one text separated by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return [str(item) for item in value if item not in (None, "")]
    return []


def is_string_list(value: object) -> bool:
    """Whether `parse_string_list` loses nothing of a value, and no item is empty."""
    if isinstance(value, list):
        return all(item is None or (isinstance(item, str | int) and item != "") for item in value)
    return isinstance(value, str)


def is_claim_map(value: object) -> bool:
    """Whether a value is a map with non-empty texts as keys."""
    return isinstance(value, dict) and all(isinstance(name, str) and name for name in value)


def lower_keys(data: object) -> dict[str, Any]:
    """Return a map with its keys in lower case, since Pomerium's loader ignores letter case; an
    empty one for anything else."""
    return (
        {str(key).lower(): value for key, value in data.items()} if isinstance(data, dict) else {}
    )


def is_unset(value: object) -> bool:
    """Whether a value is the same as an absent one."""
    return value is None or value is False or value in ("", [], {})
