"""Where log lines go, and how a call gives them structured values:
`extra=fields(host="app.example.com")`. What they look like is for `forms`, what is worth one for
everybody else.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Literal, TextIO

from authz_sidecar.observe.formatters import ConsoleFormatter, JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.observe.formatters import LineFormatter

LogFormat = Literal["json", "console"]


def fields(**values: object) -> dict[str, dict[str, object]]:
    """For `extra=`. Names are written with hyphens; a value of None is left out."""
    return extra_fields({name.replace("_", "-"): value for name, value in values.items()})


def extra_fields(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    return {"fields": {name: value for name, value in values.items() if value is not None}}


class LineHandler(logging.StreamHandler[TextIO]):
    """Its lines can be written without a record, which costs several times as much as the line."""

    def __init__(self, stream: TextIO, line_formatter: LineFormatter) -> None:
        super().__init__(stream)
        self.setFormatter(line_formatter)
        self.line_formatter = line_formatter

    def write(self, line: str) -> None:
        self.acquire()
        try:
            self.stream.write(f"{line}{self.terminator}")
            self.flush()
        except Exception:  # noqa: BLE001 - as `emit` does: what cannot be logged stops nobody
            self.handleError(logging.makeLogRecord({"msg": line}))
        finally:
            self.release()


def line_writer(
    logger: logging.Logger, level: int, message: str, values: Mapping[str, object]
) -> Callable[[Mapping[str, object]], None]:
    """Logs the same again and again, beginning with the few values that differ. What is the same is
    put into words once, where lines go where `configure` sent them."""
    handler = _sole_line_handler(logger)
    if handler is None:
        return lambda own: logger.log(level, message, extra=extra_fields({**own, **values}))
    line_formatter = handler.line_formatter
    message_text = line_formatter.format_message(level=level, message=message, logger=logger.name)
    constant_text = (
        line_formatter.format_fields(extra_fields(values)["fields"]) + line_formatter.suffix
    )

    def write(varying: Mapping[str, object]) -> None:
        handler.write(
            f"{line_formatter.format_prefix(time.time())}{message_text}{line_formatter.format_fields(varying)}{constant_text}"
        )

    return write


def _sole_line_handler(logger: logging.Logger) -> LineHandler | None:
    """None where anybody else hears it, or may have it left out. Looks where `logging` does."""
    handlers: list[logging.Handler] = []
    ancestor: logging.Logger | None = logger
    while ancestor is not None:
        handlers += ancestor.handlers
        ancestor = ancestor.parent if ancestor.propagate else None
    if len(handlers) != 1 or not isinstance(handler := handlers[0], LineHandler):
        return None
    return None if logger.filters or handler.filters or handler.level else handler


def configure(
    *, log_format: LogFormat = "json", level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send everything that is logged in this process to `stream` (standard error)."""
    handler = LineHandler(
        sys.stderr if stream is None else stream,
        JsonFormatter() if log_format == "json" else ConsoleFormatter(),
    )
    _disable_unused_record_fields()
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


def _disable_unused_record_fields() -> None:
    """Which file, thread and process speaks: found out anew for every record otherwise, which is
    a third of what a record costs (Logging HOWTO, Optimization)."""
    logging._srcfile = None  # noqa: SLF001 - as the HOWTO has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
