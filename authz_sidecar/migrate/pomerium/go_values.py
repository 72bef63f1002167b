"""Values as Pomerium's loader takes them: words for truth, Go's durations, one text or a list."""

from __future__ import annotations

import re
from typing import Any

# Go's strconv.ParseBool.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def truth(value: object) -> bool:
    return value is True or value == 1 or (isinstance(value, str) and value in _TRUE)


def is_truth(value: object) -> bool:
    """Whether it is one of the words for either."""
    words = isinstance(value, str) and value in _TRUE | _FALSE
    return words or value in (0, 1)


def seconds(value: object) -> float | None:
    """Go's time.ParseDuration; None for what is none."""
    text = str(value)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def texts(value: object) -> list[str]:
    """A list, or one text with commas in it."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return [str(item) for item in value if item not in (None, "")]
    return []


def are_names(value: object) -> bool:
    """Whether `texts` loses nothing of it, and nobody without a name is among them."""
    if isinstance(value, list):
        return all(each is None or (isinstance(each, str | int) and each != "") for each in value)
    return isinstance(value, str)


def are_claims(value: object) -> bool:
    """A map by name."""
    return isinstance(value, dict) and all(isinstance(name, str) and name for name in value)


def folded(data: object) -> dict[str, Any]:
    """A map with its keys in lower case: the loader does not tell letter case apart."""
    return (
        {str(key).lower(): value for key, value in data.items()} if isinstance(data, dict) else {}
    )


def says_nothing(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})
