"""Values as Pomerium's loader takes them: words for truth, Go's durations, one text or a list."""

from __future__ import annotations

import re
from typing import Any

# Go's strconv.ParseBool.
_TRUE_WORDS = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE_WORDS = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def parse_go_bool(value: object) -> bool:
    return value is True or value == 1 or (isinstance(value, str) and value in _TRUE_WORDS)


def is_go_bool(value: object) -> bool:
    """Whether it is one of the words for either."""
    words = isinstance(value, str) and value in _TRUE_WORDS | _FALSE_WORDS
    return words or value in (0, 1)


def parse_go_duration(value: object) -> float | None:
    """Go's time.ParseDuration; None for what is none."""
    text = str(value)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def parse_string_list(value: object) -> list[str]:
    """A list, or one text with commas in it."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return [str(item) for item in value if item not in (None, "")]
    return []


def is_string_list(value: object) -> bool:
    """Whether `parse_string_list` loses nothing of it, and nobody without a name is among them."""
    if isinstance(value, list):
        return all(item is None or (isinstance(item, str | int) and item != "") for item in value)
    return isinstance(value, str)


def is_claim_map(value: object) -> bool:
    """A map by name."""
    return isinstance(value, dict) and all(isinstance(name, str) and name for name in value)


def lower_keys(data: object) -> dict[str, Any]:
    """A map with its keys in lower case: the loader does not tell letter case apart."""
    return (
        {str(key).lower(): value for key, value in data.items()} if isinstance(data, dict) else {}
    )


def is_unset(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})
