"""Log lines: what they look like, and that nothing in a value can forge one."""

from __future__ import annotations

import io
import json
import logging

import pytest

from authz_sidecar.observe.formatters import ConsoleFormatter, JsonFormatter
from authz_sidecar.observe.logging import LineHandler, extra_fields, fields, line_writer
from authz_sidecar.observe.request_ids import request_id


def written(formatter: logging.Formatter, message: str, **values: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("authz_sidecar.test")  # noqa: LOG001 - nobody else may hear it
    logger.addHandler(handler)
    logger.info(message, extra=fields(**values))
    return stream.getvalue()


def test_json_is_one_object_a_line() -> None:
    line = written(JsonFormatter(), "authorize check", host="app.example.com", status_code=200)
    record = json.loads(line)
    assert record["message"] == "authorize check"
    assert record["level"] == "info"
    assert record["host"] == "app.example.com"
    assert record["status-code"] == 200
    assert record["time"].endswith("Z")


def test_absent_values_are_left_out() -> None:
    assert "user" not in json.loads(written(JsonFormatter(), "x", user=None))


@pytest.mark.parametrize(
    "formatter", [JsonFormatter(), ConsoleFormatter()], ids=["json", "console"]
)
@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "\x1b[31m", "\u2028", "\x00", "é\x85"])
def test_no_value_forges_a_line_or_moves_the_cursor(
    formatter: logging.Formatter, hostile: str
) -> None:
    line = written(formatter, "refused", path=hostile)
    assert line.count("\n") == 1
    assert not any(each in line for each in "\r\x1b\x00\u2028\x85")


def test_the_console_shows_values_after_the_message() -> None:
    assert 'refused  host=app.test  why="two words"' in written(
        ConsoleFormatter(), "refused", host="app.test", why="two words"
    )


def test_lines_of_a_request_carry_its_id() -> None:
    token = request_id.set("r-1")
    try:
        assert json.loads(written(JsonFormatter(), "x"))["request-id"] == "r-1"
    finally:
        request_id.reset(token)
    assert "request-id" not in json.loads(written(JsonFormatter(), "x"))


def test_exceptions_are_written_with_the_line() -> None:
    try:
        raise ValueError("broken")  # noqa: TRY301
    except ValueError:
        record = logging.Logger("x").makeRecord(  # noqa: LOG001
            "x", logging.ERROR, "f", 1, "failed", (), __import__("sys").exc_info()
        )
    assert "ValueError: broken" in json.loads(JsonFormatter().format(record))["exception"]


VALUES = {"path": "/a", "user": None, "groups": ["eng"], "ip": "203.0.113.7"}
FORMS = pytest.mark.parametrize(
    "form", [JsonFormatter(), ConsoleFormatter()], ids=["json", "console"]
)


def logger_to(stream: io.StringIO, form: JsonFormatter | ConsoleFormatter) -> logging.Logger:
    logger = logging.Logger("authz_sidecar.test")  # noqa: LOG001 - nobody else may hear it
    logger.addHandler(LineHandler(stream, form))
    return logger


def without_time(line: str) -> str:
    return line.partition('"level"')[2] or line[8:]


@FORMS
def test_a_repeated_line_is_as_it_is_logged_once(form: JsonFormatter | ConsoleFormatter) -> None:
    stream = io.StringIO()
    logger = logger_to(stream, form)
    write = line_writer(logger, logging.INFO, "authorize check", VALUES)
    for number in (1, 2):
        logger.info("authorize check", extra=extra_fields({"request-id": f"r{number}", **VALUES}))
        write({"request-id": f"r{number}"})
    lines = list(map(without_time, stream.getvalue().splitlines()))
    assert lines[0] == lines[1] != lines[2]
    assert lines[2] == lines[3]


@FORMS
@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31m", "\u2028", "\x00", "é\x85"])
def test_no_repeated_value_forges_a_line(
    form: JsonFormatter | ConsoleFormatter, hostile: str
) -> None:
    stream = io.StringIO()
    line_writer(logger_to(stream, form), logging.INFO, "x", {"path": hostile})({"own": hostile})
    assert stream.getvalue().count("\n") == 1
    assert not any(each in stream.getvalue() for each in "\r\x1b\x00\u2028\x85")


@pytest.mark.parametrize("where", ["a handler", "a filter", "a filter of the handler", "a level"])
def test_whoever_else_listens_hears_repeated_lines_too(where: str) -> None:
    stream, heard = io.StringIO(), list[logging.LogRecord]()
    logger = logger_to(stream, JsonFormatter())

    class Other(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    def listen(record: logging.LogRecord) -> bool:
        heard.append(record)
        return True

    match where:
        case "a handler":
            logger.addHandler(Other())
        case "a filter":
            logger.addFilter(listen)
        case "a filter of the handler":
            logger.handlers[0].addFilter(listen)
        case _:
            logger.handlers[0].setLevel(logging.ERROR)
    line_writer(logger, logging.INFO, "x", VALUES)({"request-id": "r1"})
    assert len(heard) == (where != "a level")
    assert stream.getvalue().count("\n") == (where != "a level")


def test_a_repeated_line_goes_no_further_than_its_logger_lets_it() -> None:
    above, stream = io.StringIO(), io.StringIO()
    parent = logger_to(above, JsonFormatter())
    logger = logger_to(stream, JsonFormatter())
    logger.parent, logger.propagate = parent, False
    line_writer(logger, logging.INFO, "x", VALUES)({"request-id": "r1"})
    assert (above.getvalue(), stream.getvalue().count("\n")) == ("", 1)
    silent = logging.Logger("authz_sidecar.silent")  # noqa: LOG001 - nobody hears it
    child = logging.Logger("authz_sidecar.silent.child")  # noqa: LOG001
    silent.parent, silent.propagate, child.parent = parent, False, silent
    line_writer(child, logging.INFO, "x", VALUES)({"request-id": "r1"})
    assert above.getvalue() == ""


def test_a_line_that_cannot_be_written_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    write = line_writer(logger_to(stream, JsonFormatter()), logging.INFO, "x", VALUES)
    stream.close()
    write({"request-id": "r1"})
    assert "closed file" in capsys.readouterr().err
