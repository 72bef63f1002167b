"""What a log line looks like: one JSON object, or words for a person's eyes. Nothing in a value can
forge a line or move a terminal's cursor."""

from __future__ import annotations

import json
import logging
import time
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authz_sidecar.observe.request_ids import request_id

if TYPE_CHECKING:
    from collections.abc import Mapping

# ASCII alone.
_encoded = json.JSONEncoder(ensure_ascii=True, default=str, separators=(",", ":")).encode


class Form(logging.Formatter, ABC):
    """A line by its parts, so that those which very many lines share are put into words once:
    `began`, `words`, `values` as often as there are any, `end`."""

    end = ""

    @abstractmethod
    def began(self, created: float) -> str: ...

    @abstractmethod
    def words(self, *, level: int, message: str, logger: str) -> str: ...

    @abstractmethod
    def values(self, values: Mapping[str, object]) -> str: ...

    def _line(self, record: logging.LogRecord, **more: object) -> str:
        words = self.words(level=record.levelno, message=record.getMessage(), logger=record.name)
        values = self.values({**_values(record), **more})
        return f"{self.began(record.created)}{words}{values}{self.end}"


class JsonFormatter(Form):
    end = "}"

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info:
            return self._line(record, exception=self.formatException(record.exc_info))
        return self._line(record)

    def began(self, created: float) -> str:
        return f'{{"time":"{_timestamp(created)}"'

    def words(self, *, level: int, message: str, logger: str) -> str:
        name = logging.getLevelName(level).lower()
        return self.values({"level": name, "message": message, "logger": logger})

    def values(self, values: Mapping[str, object]) -> str:
        return f",{_encoded(values)[1:-1]}" if values else ""


class ConsoleFormatter(Form):
    def format(self, record: logging.LogRecord) -> str:
        text = self._line(record)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text

    def began(self, created: float) -> str:
        return time.strftime("%H:%M:%S", time.localtime(created))

    def words(self, *, level: int, message: str, logger: str) -> str:  # noqa: ARG002 - too much for the eye
        return f" {logging.getLevelName(level).lower():<7} {_printable(message)}"

    def values(self, values: Mapping[str, object]) -> str:
        return "".join([f"  {name}={_shown(value)}" for name, value in values.items()])


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
