"""The log handlers, and structured fields for a call: `extra=fields(host="app.example.com")`. The
formats are in `formatters`."""

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
    """Return the `extra` argument of a log call. Names get hyphens; None values are left out."""
    return extra_fields({name.replace("_", "-"): value for name, value in values.items()})


def extra_fields(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return the `extra` argument for names that already have hyphens; None values are left out."""
    return {"fields": {name: value for name, value in values.items() if value is not None}}


class LineHandler(logging.StreamHandler[TextIO]):
    """A handler that also writes finished lines, because a record costs several times as much as
    its line."""

    def __init__(self, stream: TextIO, line_formatter: LineFormatter) -> None:
        super().__init__(stream)
        self.setFormatter(line_formatter)
        self.line_formatter = line_formatter

    def write(self, line: str) -> None:
        """Write one line."""
        self.acquire()
        try:
            self.stream.write(f"{line}{self.terminator}")
            self.flush()
        except Exception:  # noqa: BLE001 - as `emit` does: a failed write stops no request
            self.handleError(logging.makeLogRecord({"msg": line}))
        finally:
            self.release()


def line_writer(
    logger: logging.Logger, level: int, message: str, values: Mapping[str, object]
) -> Callable[[Mapping[str, object]], None]:
    """Return a function that logs the same message and `values` with a few varying fields in front.

    The constant parts are formatted once, when the logger writes only to the handler of
    `configure`.
    """
    handler = _sole_line_handler(logger)
    if handler is None:
        return lambda varying: logger.log(level, message, extra=extra_fields({**varying, **values}))
    line_formatter = handler.line_formatter
    message_text = line_formatter.format_message(level=level, message=message, logger=logger.name)
    constant_text = (
        line_formatter.format_fields(extra_fields(values)["fields"]) + line_formatter.suffix
    )

    def write(varying: Mapping[str, object]) -> None:
        handler.write(
            f"{line_formatter.format_prefix(time.time())}{message_text}"
            f"{line_formatter.format_fields(varying)}{constant_text}"
        )

    return write


def _sole_line_handler(logger: logging.Logger) -> LineHandler | None:
    """Return the logger's handler; None when there are others or a filter. Searches as `logging`
    does."""
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
    """Send all log records of this process to `stream` (standard error)."""
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
    # At INFO, libraries repeat what our own lines report.
    for name in ("uvicorn", "httpx2", "httpcore2", "asyncio", "redis"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn tests for a level below DEBUG on each connection.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _disable_unused_record_fields() -> None:
    """Turn off the fields for file, thread and process, a third of a record's cost (Logging HOWTO,
    Optimization)."""
    logging._srcfile = None  # noqa: SLF001 - as the HOWTO has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
