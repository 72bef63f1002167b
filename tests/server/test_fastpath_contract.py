"""What the fast path relies on in uvicorn, for the versions that `pyproject.toml` allows."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import Server, ServerState

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_one_that_was_read() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "uvicorn>=0.54,<0.55" in project["dependencies"]
    assert uvicorn.__version__.startswith("0.54.")


def test_what_a_connection_knows() -> None:
    made = inspect.getsource(HttpToolsProtocol.__init__)
    for attribute in (
        *("pipeline", "cycle", "flow", "transport", "server_state", "loop", "client", "server"),
        *("timeout_keep_alive", "timeout_keep_alive_task"),
    ):
        assert f"self.{attribute}" in made, attribute


def test_what_a_question_in_progress_knows() -> None:
    made = inspect.getsource(RequestResponseCycle.__init__)
    assert "self.response_complete = False" in made
    sent = inspect.getsource(RequestResponseCycle.send)
    assert "headers = self.default_headers + list(message.get(" in sent
    assert 'content.append(b"connection: close\\r\\n")' in sent
    assert sent.index("STATUS_LINE[status_code]") < sent.index('content.append(b"connection')


def test_an_answer_is_counted_and_its_connection_waits() -> None:
    done = inspect.getsource(HttpToolsProtocol.on_response_complete)
    assert "self.server_state.total_requests += 1" in done
    assert "self.timeout_keep_alive, self.timeout_keep_alive_handler" in done
    lost = inspect.getsource(HttpToolsProtocol._unset_keepalive_if_required)
    assert "self.timeout_keep_alive_task.cancel()" in lost


def test_writing_is_paused_by_the_transport() -> None:
    assert "self.write_paused = True" in inspect.getsource(FlowControl.pause_writing)
    assert "self.read_paused = True" in inspect.getsource(FlowControl.pause_reading)


def test_default_lines_are_a_new_list_whenever_they_change() -> None:
    tick = inspect.getsource(Server.on_tick)
    assert "self.server_state.default_headers = date_header + " in tick
    assert ServerState().default_headers == []


def test_status_lines() -> None:
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert STATUS_LINE[429] == b"HTTP/1.1 429 Too Many Requests\r\n"
