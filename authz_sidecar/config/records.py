"""Tables for the criterion `record`, from text or from the configuration itself: records by user or
by network. Decides what a table must look like; who asks for which field is the policies' business."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

from authz_sidecar.config.yaml import read_text
from authz_sidecar.core.networks import parse_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.config.schema import RecordTable

Records = dict[str, dict[str, object]]

_MOST_PROBLEMS = 20
_MOST_TOLD = 3
_STORE = re.compile(r"[a-z+]+://")
# As JSON writes numbers, so that `007` stays the text that it is.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?P<fraction>\.[0-9]{1,17})?")


@dataclass(slots=True)
class TableRead:
    """`problems` are what is wrong; with any of them `records` is not whole."""

    records: Records = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_table(settings: RecordTable) -> TableRead:
    read = TableRead()
    data = settings.table
    if isinstance(data, str):
        if _STORE.match(data):
            read.problems.append("is text; a table in Redis is given as `redis: {key: …}` instead")
            return read
        data = (_of_csv if settings.format == "csv" else _of_yaml)(data, read)
    if isinstance(data, dict):
        _take(data, read, by_address=settings.by == "address")
    elif not read.problems:
        read.problems.append("is a map from users or networks to records")
    del read.problems[_MOST_PROBLEMS:]
    return read


def read_hash(fields: Mapping[bytes, bytes], *, by: str) -> Records:
    """From a hash in Redis: by user or network, each record in JSON. Raises `ValueError` for a table
    that is not whole, or not there: an empty hash is none."""
    if not fields:
        raise ValueError("there is no such hash, or it is empty")
    read = TableRead()
    data: dict[object, object] = {}
    for name, value in fields.items():
        key = name.decode("utf-8", "backslashreplace")
        try:
            data[name.decode()] = _JSON.decode(value.decode())
        except (ValueError, RecursionError):
            read.problems.append(f"`{key[:100]}` is no record in JSON")
    _take(data, read, by_address=by == "address")
    if read.problems:
        raise ValueError("; ".join(read.problems[:_MOST_TOLD]))
    return read.records


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is there twice")
    return found


def _no_number(name: str) -> object:
    raise ValueError(f"`{name}` is no number")


def _take(data: dict[object, object], read: TableRead, *, by_address: bool) -> None:
    seen: dict[object, str] = {}
    for key, record in data.items():
        if not isinstance(key, str) or not key:
            read.problems.append("has a record without a user or a network")
        elif not isinstance(record, dict):
            read.problems.append(f"`{key}`: a record is a map from fields to values")
        elif by_address and (network := _network(key)) is None:
            read.problems.append(f"`{key}` is not an address or a network")
        elif by_address and (first := seen.setdefault(network, key)) != key:
            read.problems.append(f"`{key}` is the same network as `{first}`")
        else:
            read.records[key] = record


def _network(text: str) -> object:
    try:
        return parse_network(text)
    except ValueError:
        return None


def _of_yaml(text: str, read: TableRead) -> object:
    document = read_text(text, file="")
    read.problems += (f"line {each.line}: {each.message}" for each in document.problems)
    return document.data


def _of_csv(text: str, read: TableRead) -> object:
    """The first row names the columns, the first column the users or networks."""
    rows = csv.reader(StringIO(text.removeprefix("\ufeff")), strict=True)
    found: dict[object, object] = {}
    names: list[str] | None = None
    try:
        for row in rows:
            if not row:
                continue
            if names is None:
                names = [name.strip() for name in row]
                if len(names) < 2 or "" in names or len(set(names)) < len(names):
                    read.problems.append("the first row names at least two columns, each once")
                    return None
            elif len(row) != len(names):
                read.problems.append(f"line {rows.line_num}: {len(row)} columns, not {len(names)}")
            elif (key := row[0].strip()) in found:
                read.problems.append(f"line {rows.line_num}: `{key}` is there already")
            else:
                found[key] = _fields(names[1:], row[1:])
    except csv.Error as wrong:
        read.problems.append(f"line {rows.line_num}: {wrong}")
    return found if names is not None else None


def _fields(names: list[str], cells: list[str]) -> dict[str, object]:
    """An empty cell is no field."""
    return {
        name: _value(text)
        for name, cell in zip(names, cells, strict=True)
        if (text := cell.strip())
    }


def _value(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return float(text) if number["fraction"] else int(text)


_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
