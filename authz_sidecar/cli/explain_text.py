"""An explanation drawn for a terminal: an aligned tree of rules, what holds and what does not."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_sidecar.routes.explain_json import Told, ToldCriterion, ToldReading, ToldRule

_WIDEST_CELL = 44
_PLAIN = str.maketrans({"✓": "+", "✗": "-", "├": "|", "└": "`", "│": "|", "─": "-", "…": "~",
                        "◀": "<"})  # fmt: skip

_VERDICTS = {
    "allow": "ALLOWED",
    "sign-in": "SIGN IN FIRST",
    "deny": "DENIED",
    "refused": "REFUSED",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """`stem` is drawn before the mark; cells are aligned with those of all other rows."""

    stem: str
    holds: bool
    cells: tuple[str, ...]


def drawn(told: Told) -> str:
    lines = [*_head(told), ""]
    for number, reading in enumerate(told["readings"]):
        if number and not _differs(reading, told["readings"][0]):
            continue
        lines += _reading(told, reading)
    lines += _verdict(told)
    return "\n".join(line.rstrip() for line in lines)


def for_stream(text: str, stream: TextIO) -> str:
    """In colour and in Unicode where the stream can show that."""
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        text = text.translate(_PLAIN).encode("ascii", "backslashreplace").decode()
    colour = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return _coloured(text) if colour else text


def _head(told: Told) -> Iterator[str]:
    yield f"{shown(told['method'])} {shown(told['url'])}"
    yield f"  as     {_person(told)}"
    if told["overlooked"]:
        yield f"         ({told['overlooked']})"
    yield f"  from   {told['client'] or 'an unknown address'}"
    yield f"  at     {told['time']}"
    route = told["route"]
    if route is None:
        yield "  route  none"
    else:
        yield f"  route  {route['name']}: {route['place']}  ({route['at']})"
    if len(told["readings"]) > 1:
        yield f"  the path has {len(told['readings'])} readings:"
        for reading in told["readings"]:
            outcome = reading["verdict"] or f"route {reading['route'] or 'none'}"
            yield f"    {shown(reading['path'])}  {outcome}"


def _person(told: Told) -> str:
    identity = told["identity"]
    if identity is None:
        return "nobody who is signed in"
    parts = [f"user {shown(identity['user'])}"]
    if identity["email"]:
        parts.append(shown(identity["email"]))
    groups = identity["groups"]
    if isinstance(groups, list) and groups:
        parts.append(f"groups {', '.join(map(shown, groups))}")
    if identity["provider"]:
        parts.append(f"by {shown(identity['provider'])}")
    return ", ".join(parts)


def _differs(reading: ToldReading, first: ToldReading) -> bool:
    return reading["verdict"] != first["verdict"]


def _reading(told: Told, reading: ToldReading) -> Iterator[str]:
    if reading["allow"] is None:
        return
    if len(told["readings"]) > 1:
        yield f"read as {shown(reading['path'])}"
    rows: list[_Row] = []
    for action, held in (("allow", reading["allow"]), ("deny", reading["deny"])):
        rules = [rule for rule in reading["rules"] if rule["action"] == action]
        rows.append(_Row("", bool(held), (action, "" if rules else "there is no such rule")))
        rows += _rules(rules)
    yield from _aligned(rows)
    yield ""


def _rules(rules: Sequence[ToldRule]) -> Iterator[_Row]:
    for place, rule in enumerate(rules):
        last = place == len(rules) - 1
        decides = "  ◀ decides" if rule["decisive"] else ""
        yield _Row(
            "└─ " if last else "├─ ",
            rule["holds"],
            (rule["operator"], f"{rule['source']}{decides}", "", "", rule["at"]),
        )
        stem = "   " if last else "│  "
        criteria = rule["criteria"]
        for number, criterion in enumerate(criteria):
            branch = "└─ " if number == len(criteria) - 1 else "├─ "
            yield _Row(stem + branch, criterion["holds"], _cells(criterion))


def _cells(criterion: ToldCriterion) -> tuple[str, ...]:
    return (
        criterion["criterion"],
        _short(_wanted(criterion["compares"])),
        _short(_found(criterion)),
        ", ".join(criterion["reasons"]),
        criterion["at"],
    )


def _wanted(data: object) -> str:
    if isinstance(data, dict):
        return ", ".join(f"{name} {shown(value)}" for name, value in data.items()) or "anything"
    return shown(data)


def _found(criterion: ToldCriterion) -> str:
    value, note = criterion["found"], criterion["note"]
    if value is None:
        return note or ""
    return f"{shown(value)} ({note})" if note else shown(value)


def shown(value: object) -> str:
    """On one line, with nothing in it that moves a terminal's cursor."""
    if isinstance(value, list):
        return ", ".join(map(shown, value)) if value else "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {shown(entry)}" for key, entry in value.items())
    if isinstance(value, str) and value.isprintable() and value.strip() == value != "":
        return value
    return json.dumps(value)


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST_CELL else f"{text[: _WIDEST_CELL - 1]}…"


def _aligned(rows: Sequence[_Row]) -> Iterator[str]:
    first = max(len(row.stem) + len(row.cells[0]) for row in rows)
    # Rows of a rule have a title that may run over the columns of its criteria.
    columns = [row.cells for row in rows if len(row.cells) > 2 and row.cells[3]]
    widths = [max((len(cells[at]) for cells in columns), default=0) for at in range(1, 4)]
    titles = max((len(row.cells[1]) for row in rows), default=0)
    widths[2] = max(widths[2], titles - widths[0] - widths[1] - 4)
    for row in rows:
        mark = "✓" if row.holds else "✗"
        label = f"{row.stem}{mark} {row.cells[0]:<{first - len(row.stem)}}"
        if len(row.cells) > 2 and row.cells[3]:
            middle = "  ".join(
                f"{cell:<{width}}" for cell, width in zip(row.cells[1:4], widths, strict=True)
            )
        else:
            middle = f"{row.cells[1]:<{sum(widths) + 4}}"
        yield f"{label}  {middle}  {row.cells[4] if len(row.cells) > 4 else ''}"


def _verdict(told: Told) -> Iterator[str]:
    reasons = ", ".join(told["reasons"]) or "no rule allows it"
    yield f"{_VERDICTS[told['verdict']]}: {reasons}"
    if told["trouble"]:
        yield f"  {told['trouble']}"
    yield f"  {told['answer']}"


def _coloured(text: str) -> str:
    for mark, code in (("✓", "32"), ("✗", "31"), ("◀ decides", "1")):
        text = text.replace(mark, f"\x1b[{code}m{mark}\x1b[0m")
    return text
