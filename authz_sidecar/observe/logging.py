"""Log lines: one JSON object each, or one line for a person's eyes. Decides their form and the
request id that ties them together; what is worth a line is everybody else's business.

A call gives structured values as `extra=fields(host="app.example.com")`.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import time
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

LogFormat = Literal["json", "console"]

_ID_BYTES = 8
_DRAWN_AT_ONCE = 128

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; every line written meanwhile carries it."""


def request_ids() -> Iterator[str]:
    """Fresh ones without end. Many are drawn at once: a call to the system costs more than all else
    about an id."""
    while True:
        drawn = secrets.token_hex(_ID_BYTES * _DRAWN_AT_ONCE)
        for at in range(0, len(drawn), 2 * _ID_BYTES):
            yield drawn[at : at + 2 * _ID_BYTES]


def new_request_id() -> str:
    """A fresh id, for the rest of this request's task."""
    fresh = secrets.token_hex(_ID_BYTES)
    request_id.set(fresh)
    return fresh


def fields(**values: object) -> dict[str, dict[str, object]]:
    """For `extra=`. Names are written with hyphens; a value of None is left out."""
    return named({name.replace("_", "-"): value for name, value in values.items()})


def named(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    return {"fields": {name: value for name, value in values.items() if value is not None}}


def configure(
    *, form: LogFormat = "json", level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send everything that is logged in this process to `stream` (standard error)."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    _leave_out_what_no_line_says()
    root = logging.getLogger()
    for other in root.handlers[:]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Libraries speak at INFO of what our own lines say better.
    for name in ("uvicorn", "httpx2", "httpcore2", "asyncio", "redis"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn invents a level below DEBUG and tests for it on each connection.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _leave_out_what_no_line_says() -> None:
    """Which file, thread and process speaks: found out anew for every record otherwise, which is
    a third of what a record costs (Logging HOWTO, Optimization)."""
    logging._srcfile = None  # noqa: SLF001 - as the HOWTO has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


# ASCII alone: nothing in a value can forge a line or move a terminal's cursor.
_encoded = json.JSONEncoder(ensure_ascii=True, default=str, separators=(",", ":")).encode


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **_values(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoded(line)


class ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        parts = [f"{clock} {record.levelname.lower():<7} {_printable(record.getMessage())}"]
        parts += [f"{name}={_shown(value)}" for name, value in _values(record).items()]
        text = "  ".join(parts)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _values(record: logging.LogRecord) -> dict[str, Any]:
    values: dict[str, Any] = dict(getattr(record, "fields", {}))
    current = request_id.get()
    if current is not None:
        values.setdefault("request-id", current)
    return values


def _timestamp(seconds: float) -> str:
    return f"{_whole_second(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@lru_cache(maxsize=2)
def _whole_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text
    )


def _shown(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and value and " " not in value:
        return value
    return json.dumps(value, default=str)
