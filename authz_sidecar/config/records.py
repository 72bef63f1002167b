"""Parses the tables that the criterion `record` looks up in: records by user or by network, from
YAML, CSV, a Redis hash or the configuration itself. Knows nothing of the policies that use them."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.networks import parse_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.config.schema import RecordTable

Records = dict[str, dict[str, object]]

_MAX_PROBLEMS = 20
_MAX_REPORTED_PROBLEMS = 3
_STORE_URL = re.compile(r"[a-z+]+://")
# As JSON writes numbers, so that `007` stays the text that it is.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?P<fraction>\.[0-9]{1,17})?")


@dataclass(slots=True)
class ParsedTable:
    """A parsed table. With any `problems`, `records` is incomplete."""

    records: Records = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def parse_table(settings: RecordTable) -> ParsedTable:
    """Return the records of a table that is given in the configuration, or its first problems."""
    parsed = ParsedTable()
    data = settings.table
    if isinstance(data, str):
        if _STORE_URL.match(data):
            parsed.problems.append("must not be a URL; give a table in Redis as `redis: {key: …}`")
            return parsed
        data = (_parse_csv if settings.format == "csv" else _parse_yaml)(data, parsed)
    if isinstance(data, dict):
        _add_records(data, parsed, by_address=settings.by == "address")
    elif not parsed.problems:
        parsed.problems.append("must be a map from users or networks to records")
    del parsed.problems[_MAX_PROBLEMS:]
    return parsed


def parse_redis_hash(fields: Mapping[bytes, bytes], *, by: str) -> Records:
    """Return the records of a Redis hash: a field for each user or network, its value one record in
    JSON. Raises `ValueError` for a hash that is empty, missing or partly invalid."""
    if not fields:
        raise ValueError("the hash does not exist or is empty")
    parsed = ParsedTable()
    data: dict[object, object] = {}
    for name, value in fields.items():
        key = name.decode("utf-8", "backslashreplace")
        try:
            data[name.decode()] = _JSON.decode(value.decode())
        except (ValueError, RecursionError):
            parsed.problems.append(f"`{key[:100]}` is not a record in JSON")
    _add_records(data, parsed, by_address=by == "address")
    if parsed.problems:
        raise ValueError("; ".join(parsed.problems[:_MAX_REPORTED_PROBLEMS]))
    return parsed.records


def _reject_duplicate_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _reject_constant(name: str) -> object:
    raise ValueError(f"`{name}` is not a number")


def _add_records(data: dict[object, object], parsed: ParsedTable, *, by_address: bool) -> None:
    keys_by_network: dict[object, str] = {}
    for key, record in data.items():
        if not isinstance(key, str) or not key:
            parsed.problems.append("has a record without a user or a network")
        elif not isinstance(record, dict):
            parsed.problems.append(f"`{key}`: a record is a map from fields to values")
        elif by_address and (network := _try_parse_network(key)) is None:
            parsed.problems.append(f"`{key}` is not an address or a network")
        elif by_address and (first := keys_by_network.setdefault(network, key)) != key:
            parsed.problems.append(f"`{key}` is the same network as `{first}`")
        else:
            parsed.records[key] = record


def _try_parse_network(text: str) -> object:
    try:
        return parse_network(text)
    except ValueError:
        return None


def _parse_yaml(text: str, parsed: ParsedTable) -> object:
    document = parse_yaml(text, file="")
    parsed.problems += (f"line {problem.line}: {problem.message}" for problem in document.problems)
    return document.data


def _parse_csv(text: str, parsed: ParsedTable) -> object:
    """The first row names the columns, the first column the users or networks."""
    rows = csv.reader(StringIO(text.removeprefix("\ufeff")), strict=True)
    records: dict[object, object] = {}
    names: list[str] | None = None
    try:
        for row in rows:
            if not row:
                continue
            if names is None:
                names = [name.strip() for name in row]
                if len(names) < 2 or "" in names or len(set(names)) < len(names):
                    parsed.problems.append("the first row must name at least two distinct columns")
                    return None
            elif len(row) != len(names):
                parsed.problems.append(
                    f"line {rows.line_num}: {len(row)} columns, not {len(names)}"
                )
            elif (key := row[0].strip()) in records:
                parsed.problems.append(f"line {rows.line_num}: `{key}` is listed already")
            else:
                records[key] = _parse_row(names[1:], row[1:])
    except csv.Error as error:
        parsed.problems.append(f"line {rows.line_num}: {error}")
    return records if names is not None else None


def _parse_row(names: list[str], cells: list[str]) -> dict[str, object]:
    """An empty cell is no field."""
    return {
        name: _parse_cell(text)
        for name, cell in zip(names, cells, strict=True)
        if (text := cell.strip())
    }


def _parse_cell(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return float(text) if number["fraction"] else int(text)


_JSON = json.JSONDecoder(
    object_pairs_hook=_reject_duplicate_fields, parse_constant=_reject_constant
)
