"""Resolves YAML scalars by the core schema (YAML 1.2.2 section 10.3.2)."""

from __future__ import annotations

import re

# YAML 1.2.2 section 10.3.2, the core schema.
_NULLS_AND_BOOLEANS: dict[str, object] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")
# Python converts longer ones in quadratic time, or refuses.
_MAX_DIGITS = 1000


def resolve_plain_scalar(text: str) -> object:
    """Return the value of a plain scalar in YAML 1.2's core schema; text that is nothing else stays
    text."""
    if not text or text[0] in "nN~tTfF":
        return _NULLS_AND_BOOLEANS.get(text, text)
    return _number(text) if text[0] in "+-.0123456789" and len(text) <= _MAX_DIGITS else text


def _number(text: str) -> object:
    if _INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITY.fullmatch(text):
        return float(f"{match[1]}inf")
    return float("nan") if _NAN.fullmatch(text) else text


_TAG = "tag:yaml.org,2002:"
_TAG_TYPES = {"null": type(None), "bool": bool, "int": int, "float": float}


def resolve_tagged_scalar(text: str, tag: str) -> object:
    """Return the value of a scalar with a tag. Raises `ValueError` for a tag that does not fit the
    text, or is not in the core schema."""
    tag_name = tag.removeprefix(_TAG)
    if tag == "!" or tag_name == "str":
        return text
    value = resolve_plain_scalar(text)
    if tag_name not in _TAG_TYPES or type(value) is not _TAG_TYPES[tag_name]:
        raise ValueError(f"`{text}` cannot have the tag `{tag}`")
    return value
