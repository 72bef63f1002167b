"""Whatever happens to the sidecar or on the way to it, nobody gets past it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import in_every_dialect
from tests.servers.proxy import APP_HOST
from tests.servers.wire import answer_bytes, request_bytes

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

REDIRECT = [("Location", f"https://{APP_HOST}/.auth/start?rd=x"), ("Cache-Control", "no-store")]


@in_every_dialect
def test_an_outage_is_an_outage_and_ends_by_itself(stage: Stage) -> None:
    session = stage.cookie("alice")
    with stage.tap.down():
        answer = stage.send("GET", "/", [session])
        assert answer.status == stage.kind.outage_status
        assert not stage.app.received
        assert not answer.all("set-cookie")
        if stage.kind.name in ("nginx", "caddy", "haproxy"):  # the others have no setting for it
            assert answer.one("retry-after") == "5"
            assert answer.one("cache-control") == "no-store"
            assert "cannot be reached" in answer.text
    assert stage.send("GET", "/", [session]).status == 200


def test_the_sidecars_own_trouble_is_shown_as_503(stage: Stage) -> None:
    trouble = answer_bytes(
        "503 Service Unavailable", [("Retry-After", "5"), ("Cache-Control", "no-store")], b"trouble"
    )
    with stage.tap.saying(trouble):
        assert stage.send("GET", "/", [stage.cookie("alice")]).status == 503
    assert not stage.app.received


def test_a_sidecar_that_does_not_answer_lets_nobody_in(stage: Stage) -> None:
    session = stage.cookie("alice")
    raw = request_bytes("GET", "/", [("Host", APP_HOST), session])
    with stage.tap.silent():
        started = time.monotonic()
        if stage.kind.name == "traefik":
            # It waits for half a minute and has no setting for it.
            with pytest.raises(TimeoutError):
                stage.send_raw(raw, timeout=2)
        else:
            answer = stage.send_raw(raw, timeout=15)
            assert answer is not None
            assert answer.status == 503
            assert time.monotonic() - started < 10
        assert not stage.app.received
    assert stage.send("GET", "/", [session]).status == 200


@in_every_dialect
@pytest.mark.parametrize(
    "raw",
    [
        *(
            pytest.param(answer_bytes(f"{status} X", REDIRECT, b"body"), id=str(status))
            for status in (300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 407, 410, 418)
        ),
        *(
            pytest.param(answer_bytes(f"{status} X", [], b"body"), id=str(status))
            for status in (429, 500, 501, 502, 503, 504, 599)
        ),
        pytest.param(b"HTTP/1.1 304 X\r\n\r\n", id="304"),
        pytest.param(b"", id="closed without a word"),
        pytest.param(b"nonsense\r\n\r\n", id="not http"),
        pytest.param(b"HTTP/1.1 200", id="status line cut"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Auth-User: al", id="head cut"),
        pytest.param(b"HTTP/1.1 403 X\r\nContent-Length: 100\r\n\r\nshort", id="refusal cut"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answer only"),
    ],
)
def test_only_a_yes_lets_a_request_through(stage: Stage, raw: bytes) -> None:
    answer = None
    # A refusal that breaks off does so for the client too.
    with stage.tap.saying(raw), contextlib.suppress(EOFError):
        answer = stage.send_raw(request_bytes("GET", "/", [("Host", APP_HOST)]))
    assert stage.tap.questions
    assert not stage.app.received
    assert answer is None or answer.status >= 300


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        pytest.param("302 Found", REDIRECT, id="redirect"),
        pytest.param("401 Unauthorized", [("WWW-Authenticate", "Bearer")], id="401"),
        pytest.param(
            "403 Forbidden", [("Content-Security-Policy", "default-src 'none'")], id="403"
        ),
        pytest.param("429 Too Many Requests", [("Retry-After", "9")], id="429"),
    ],
)
def test_a_refusal_is_relayed_whole(
    stage: Stage, status: str, lines: list[tuple[str, str]]
) -> None:
    cookies = [("Set-Cookie", "one=1; Path=/"), ("Set-Cookie", "two=2; Path=/")]
    refusal = answer_bytes(status, [*lines, *cookies], b"why")
    # nginx asks twice, and relays the second answer.
    first = answer_bytes("403 Forbidden", []) if stage.kind.name == "nginx" else refusal
    with stage.tap.saying(first, refusal):
        answer = stage.send("GET", "/")
    assert answer.status == int(status[:3])
    assert answer.text == "why"
    assert answer.all("set-cookie") == ("one=1; Path=/", "two=2; Path=/")
    for name, value in lines:
        assert answer.one(name) == value
