"""The demo's application, in a process of its own."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.demo.ports import choose_ports
from authz_sidecar.demo.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = choose_ports(None).app
    command = [sys.executable, "-m", "authz_sidecar.demo.whoami", "--port", str(port)]
    with ProcessGroup(Path(tmp_path_factory.mktemp("whoami"))) as children:
        child = children.start("app", [*command, "--site", "app=http://app.localhost:1"])
        children.wait_until(child, lambda: ask(port, "GET", "/", {})[0] == 200)
        yield port


def ask(
    port: int, method: str, target: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, target, headers=headers, body=body)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_visitor_is_greeted_by_name_in_any_script(port: int) -> None:
    headers = {"Host": "app.localhost:8080", "X-Auth-User": "z", "X-Auth-Name": "Zo%C3%AB"}
    _, page = ask(port, "GET", "/a?b=1&c=2", headers)
    assert "Hello, Zoë" in page
    assert "GET /a?b=1&amp;c=2" in page
    assert "/.auth/sign_out" in page


def test_a_stranger_is_greeted_as_one(port: int) -> None:
    _, page = ask(port, "GET", "/", {})
    assert "Hello, anonymous visitor" in page
    assert "/.auth/sign_out" not in page


def test_hostile_headers_and_targets_stay_text(port: int) -> None:
    hostile = "<script>alert(1)</script>$greeting"
    headers = {"X-Auth-Name": hostile, "X-Other": hostile, "Host": hostile}
    _, page = ask(port, "GET", "/?<script>", headers)
    assert "<script" not in page


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_is_answered_with_all_headers(port: int, method: str) -> None:
    status, text = ask(port, method, "/x", {"Accept": "application/json", "X-A": "1"}, b"body")
    seen = json.loads(text)
    assert (status, seen["method"], seen["target"]) == (200, method, "/x")
    assert ["X-A", "1"] in seen["headers"]


def test_head_has_no_body(port: int) -> None:
    assert ask(port, "HEAD", "/", {}) == (200, "")
