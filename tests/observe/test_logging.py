"""Log lines: what they look like, and that nothing in a value can forge one."""

from __future__ import annotations

import io
import json
import logging

import pytest

from authz_sidecar.observe.logging import ConsoleFormatter, JsonFormatter, fields, request_id


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
