"""Writes a configuration as readable YAML: short values on one line, with comments."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.yaml import resolve_plain_scalar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_sidecar.migrate.pomerium.convert import ConversionResult

_MAX_WIDTH = 96
_PLAIN_SCALAR = re.compile(r"[A-Za-z0-9_/.$][A-Za-z0-9_/.$@+*-]*(?:[:=][A-Za-z0-9_/.$@+*-]+)*")
_UNPRINTABLE = re.compile(
    r"[^\x20-\x7e\xa0-\u2027\u2030-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

_COMMENTS = {
    "server": "What stands in the proxy's place is in the report of the import.",
    "secret_keys": "Not Pomerium's: `authz-sidecar keys new` makes one.",
    "sessions": "Pomerium has no idle time-out; a shorter one than the lifetime is better.",
    "identity_providers": "Register `https://<host>/.auth/callback/NAME` there, by the name of the entry.",
    "headers": "Pomerium's names, so that applications and their libraries need no change.",
    "assertion": "PEM of an EC key on P-256.",
    "routes": "Prefixes compare letters alone and `**.` spans dots, as in Pomerium.",
}


def to_yaml(conversion: ConversionResult, *, source: str) -> str:
    """Return the converted configuration as YAML with comments. `source` is the name of the input
    file."""
    lines = [f"# Written by `authz-sidecar import pomerium` from {_printable(source)}.", ""]
    for key, value in conversion.data.items():
        if comment := _COMMENTS.get(key):
            lines.append(f"# {comment}")
        if key == "routes":
            lines += _routes(value, conversion.added_routes)
        else:
            lines += _entry(key, value, "")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _routes(routes: list[dict[str, Any]], comments: Mapping[int, str]) -> Iterator[str]:
    yield "routes:" if routes else "routes: []"
    for index, route in enumerate(routes):
        if index in comments:
            yield f"  # {_printable(comments[index])}."
        inner = [line for key, value in route.items() for line in _entry(key, value, "    ")]
        yield f"  - {inner[0][4:]}"
        yield from inner[1:]


def _entry(key: str, value: Any, indent: str) -> Iterator[str]:
    """A key and its value, on one line where that is short."""
    head = f"{indent}{_scalar(key)}:"
    flat = _flow(value)
    long = len(head) + len(flat) + 1 > _MAX_WIDTH
    if not isinstance(value, dict | list) or not value or not (long or _is_tall(value, indent)):
        yield f"{head} {flat}"
        return
    yield head
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entry(str(name), inner, f"{indent}  ")
    else:
        for item in value:
            yield from _item(item, f"{indent}  ")


def _item(item: Any, indent: str) -> Iterator[str]:
    flat = _flow(item)
    short = len(indent) + 2 + len(flat) <= _MAX_WIDTH
    flat_anyway = isinstance(item, dict) and not any(
        isinstance(inner, dict | list) for inner in item.values()
    )
    if (
        not isinstance(item, dict | list)
        or not item
        or (short and (flat_anyway or type(item) is list))
    ):
        yield f"{indent}- {flat}"
    elif isinstance(item, dict):
        inner = [line for k, v in item.items() for line in _entry(str(k), v, f"{indent}  ")]
        yield f"{indent}- {inner[0][len(indent) + 2 :]}"
        yield from inner[1:]
    else:
        yield f"{indent}-"
        for inner_item in item:
            yield from _item(inner_item, f"{indent}  ")


def _is_tall(value: Any, indent: str) -> bool:
    """Sections are written line by line, and so are lists of maps: policies, secrets."""
    if isinstance(value, list):
        return any(isinstance(item, dict) for item in value)
    return not indent or any(isinstance(inner, dict) for inner in value.values())


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN_SCALAR.fullmatch(text) and resolve_plain_scalar(text) == text:
        return text
    return _printable(json.dumps(text, ensure_ascii=False))


def _float(value: float) -> str:
    if value != value:  # noqa: PLR0124 -- not a number
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


def _printable(text: str) -> str:
    """YAML takes printable characters alone; the others are escaped, as in double quotes."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
