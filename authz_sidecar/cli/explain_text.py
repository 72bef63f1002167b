"""Renders an explanation for a terminal: an aligned tree of rules with their results."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_sidecar.routes.explain_json import (
        CriterionJson,
        ExplanationJson,
        InterpretationJson,
        RuleJson,
    )

_MAX_CELL_WIDTH = 44
_ASCII_REPLACEMENTS = str.maketrans({"✓": "+", "✗": "-", "├": "|", "└": "`", "│": "|", "─": "-", "…": "~",
                        "◀": "<"})  # fmt: skip

_VERDICT_TITLES = {
    "allow": "ALLOWED",
    "sign-in": "SIGN IN FIRST",
    "deny": "DENIED",
    "refused": "REFUSED",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the tree. `stem` is drawn before the mark; cells are aligned with those of all
    rows."""

    stem: str
    holds: bool
    cells: tuple[str, ...]


def render(explanation: ExplanationJson) -> str:
    """Return an explanation as text, in Unicode and without colours."""
    lines = [*_head(explanation), ""]
    for number, interpretation in enumerate(explanation["readings"]):
        if number and not _differs(interpretation, explanation["readings"][0]):
            continue
        lines += _format_interpretation(explanation, interpretation)
    lines += _verdict(explanation)
    return "\n".join(line.rstrip() for line in lines)


def adapt_to_stream(text: str, stream: TextIO) -> str:
    """Return `text` in colour and Unicode as far as the stream supports them (`NO_COLOR` is
    respected)."""
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        text = text.translate(_ASCII_REPLACEMENTS).encode("ascii", "backslashreplace").decode()
    colour = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return _colorize(text) if colour else text


def _head(explanation: ExplanationJson) -> Iterator[str]:
    yield f"{format_value(explanation['method'])} {format_value(explanation['url'])}"
    yield f"  as     {_format_identity(explanation)}"
    if explanation["overlooked"]:
        yield f"         ({explanation['overlooked']})"
    yield f"  from   {explanation['client'] or 'an unknown address'}"
    yield f"  at     {explanation['time']}"
    route = explanation["route"]
    if route is None:
        yield "  route  none"
    else:
        yield f"  route  {route['name']}: {route['place']}  ({route['at']})"
    if len(explanation["readings"]) > 1:
        yield f"  the path has {len(explanation['readings'])} readings:"
        for interpretation in explanation["readings"]:
            outcome = interpretation["verdict"] or f"route {interpretation['route'] or 'none'}"
            yield f"    {format_value(interpretation['path'])}  {outcome}"


def _format_identity(explanation: ExplanationJson) -> str:
    identity = explanation["identity"]
    if identity is None:
        return "an anonymous client"
    parts = [f"user {format_value(identity['user'])}"]
    if identity["email"]:
        parts.append(format_value(identity["email"]))
    groups = identity["groups"]
    if isinstance(groups, list) and groups:
        parts.append(f"groups {', '.join(map(format_value, groups))}")
    if identity["provider"]:
        parts.append(f"by {format_value(identity['provider'])}")
    return ", ".join(parts)


def _differs(interpretation: InterpretationJson, first: InterpretationJson) -> bool:
    return interpretation["verdict"] != first["verdict"]


def _format_interpretation(
    explanation: ExplanationJson, interpretation: InterpretationJson
) -> Iterator[str]:
    if interpretation["allow"] is None:
        return
    if len(explanation["readings"]) > 1:
        yield f"read as {format_value(interpretation['path'])}"
    rows: list[_Row] = []
    for action, holds in (("allow", interpretation["allow"]), ("deny", interpretation["deny"])):
        rules = [rule for rule in interpretation["rules"] if rule["action"] == action]
        rows.append(_Row("", bool(holds), (action, "" if rules else "no rule")))
        rows += _rule_rows(rules)
    yield from _align(rows)
    yield ""


def _rule_rows(rules: Sequence[RuleJson]) -> Iterator[_Row]:
    for index, rule in enumerate(rules):
        last = index == len(rules) - 1
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


def _cells(criterion: CriterionJson) -> tuple[str, ...]:
    return (
        criterion["criterion"],
        _truncate(_format_expected(criterion["compares"])),
        _truncate(_format_observed(criterion)),
        ", ".join(criterion["reasons"]),
        criterion["at"],
    )


def _format_expected(data: object) -> str:
    if isinstance(data, dict):
        return (
            ", ".join(f"{name} {format_value(value)}" for name, value in data.items()) or "anything"
        )
    return format_value(data)


def _format_observed(criterion: CriterionJson) -> str:
    value, note = criterion["found"], criterion["note"]
    if value is None:
        return note or ""
    return f"{format_value(value)} ({note})" if note else format_value(value)


def format_value(value: object) -> str:
    """Return a value on one line, without characters that move a terminal's cursor."""
    if isinstance(value, list):
        return ", ".join(map(format_value, value)) if value else "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {format_value(entry)}" for key, entry in value.items())
    if isinstance(value, str) and value.isprintable() and value.strip() == value != "":
        return value
    return json.dumps(value)


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_CELL_WIDTH else f"{text[: _MAX_CELL_WIDTH - 1]}…"


def _align(rows: Sequence[_Row]) -> Iterator[str]:
    first = max(len(row.stem) + len(row.cells[0]) for row in rows)
    # Rows of a rule have a title that may run over the columns of its criteria.
    columns = [row.cells for row in rows if len(row.cells) > 2 and row.cells[3]]
    widths = [max((len(cells[column]) for cells in columns), default=0) for column in range(1, 4)]
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


def _verdict(explanation: ExplanationJson) -> Iterator[str]:
    reasons = ", ".join(explanation["reasons"]) or "no rule allows it"
    yield f"{_VERDICT_TITLES[explanation['verdict']]}: {reasons}"
    if explanation["trouble"]:
        yield f"  {explanation['trouble']}"
    yield f"  {explanation['answer']}"


def _colorize(text: str) -> str:
    for mark, code in (("✓", "32"), ("✗", "31"), ("◀ decides", "1")):
        text = text.replace(mark, f"\x1b[{code}m{mark}\x1b[0m")
    return text
