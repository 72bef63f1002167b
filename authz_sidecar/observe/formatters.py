"""The formats of log lines: one JSON object, or text for a terminal. No value can forge a line or
move a terminal's cursor."""

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

# ASCII only.
_encode = json.JSONEncoder(ensure_ascii=True, default=str, separators=(",", ":")).encode


class LineFormatter(logging.Formatter, ABC):
    """Formats a line in parts, so that parts which many lines share are formatted once.

    The order is `format_prefix`, `format_message`, any number of `format_fields`, and `suffix`.
    """

    suffix = ""

    @abstractmethod
    def format_prefix(self, created: float) -> str:
        """Return the beginning of a line, with its time; `created` is in Unix seconds."""

    @abstractmethod
    def format_message(self, *, level: int, message: str, logger: str) -> str:
        """Return the part with level, message and logger."""

    @abstractmethod
    def format_fields(self, values: Mapping[str, object]) -> str:
        """Return the part with fields."""

    def _format_line(self, record: logging.LogRecord, **extra: object) -> str:
        message = self.format_message(
            level=record.levelno, message=record.getMessage(), logger=record.name
        )
        fields = self.format_fields({**_record_fields(record), **extra})
        return f"{self.format_prefix(record.created)}{message}{fields}{self.suffix}"


class JsonFormatter(LineFormatter):
    """Formats a line as one JSON object."""

    suffix = "}"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        if record.exc_info:
            return self._format_line(record, exception=self.formatException(record.exc_info))
        return self._format_line(record)

    def format_prefix(self, created: float) -> str:
        """Return the object's beginning, with the time in UTC."""
        return f'{{"time":"{_timestamp(created)}"'

    def format_message(self, *, level: int, message: str, logger: str) -> str:
        """Return the members `level`, `message` and `logger`."""
        name = logging.getLevelName(level).lower()
        return self.format_fields({"level": name, "message": message, "logger": logger})

    def format_fields(self, values: Mapping[str, object]) -> str:
        """Return the fields as members."""
        return f",{_encode(values)[1:-1]}" if values else ""


class ConsoleFormatter(LineFormatter):
    """Formats a line as text for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, followed by its traceback."""
        text = self._format_line(record)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text

    def format_prefix(self, created: float) -> str:
        """Return the local time."""
        return time.strftime("%H:%M:%S", time.localtime(created))

    def format_message(self, *, level: int, message: str, logger: str) -> str:  # noqa: ARG002 - left out for readability
        """Return level and message, without the logger."""
        return f" {logging.getLevelName(level).lower():<7} {_printable(message)}"

    def format_fields(self, values: Mapping[str, object]) -> str:
        """Return the fields as `name=value`."""
        return "".join([f"  {name}={_format_value(value)}" for name, value in values.items()])


def _record_fields(record: logging.LogRecord) -> dict[str, Any]:
    values: dict[str, Any] = dict(getattr(record, "fields", {}))
    current_id = request_id.get()
    if current_id is not None:
        values.setdefault("request-id", current_id)
    return values


def _timestamp(seconds: float) -> str:
    return f"{_format_second(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@lru_cache(maxsize=2)
def _format_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


def _format_value(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and value and " " not in value:
        return value
    return json.dumps(value, default=str)
