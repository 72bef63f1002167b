"""The limits, over real sockets: what is refused, how, and that nobody else suffers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.server.limits import ListenerLimits
from tests.sessions.caches import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.server.conftest import ListenerFixture

    Serve = Callable[..., Awaitable[ListenerFixture]]

QUICK = ListenerLimits(head_timeout_seconds=0.3, body_timeout_seconds=0.3, linger_seconds=0.1)


def get(target: bytes, *lines: bytes, version: bytes = b"1.1") -> bytes:
    head = b"\r\n".join((b"GET " + target + b" HTTP/" + version, b"Host: a", *lines))
    return head + b"\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split()[1])


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        pytest.param(get(b"/a#b"), 400, id="fragment in the target"),
        pytest.param(get(b"/a\x01"), 400, id="control byte in the target"),
        pytest.param(get(b"/a\xc3\xa9"), 400, id="non-ASCII in the target"),
        pytest.param(get(b"http://b/a"), 400, id="absolute-form"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="asterisk-form"),
        pytest.param(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="authority-form"),
        pytest.param(get(b"/a", b"Host: b"), 400, id="two hosts"),
        pytest.param(get(b"/a", b"Host: a"), 400, id="the same host twice"),
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(get(b"/a", b"X: 1", b" 2"), 400, id="folded header line"),
        pytest.param(get(b"/a", b"X : 1"), 400, id="space before the colon"),
        pytest.param(get(b"/a", b"X: \x00"), 400, id="NUL in a value"),
        pytest.param(get(b"/a", version=b"2.0"), 505, id="HTTP/2.0"),
        pytest.param(b"GET /a\r\n\r\n", 505, id="HTTP/0.9"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", 400, id="TLS"),
        pytest.param(
            get(b"/a", b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400, id="two lengths"
        ),
        pytest.param(
            get(b"/a", b"Transfer-Encoding: chunked", b"Content-Length: 1"), 400, id="and reversed"
        ),
        pytest.param(get(b"/a", b"Content-Length: 1", b"Content-Length: 1"), 400, id="one twice"),
        pytest.param(get(b"/a", b"Content-Length: 1, 1"), 400, id="a list of lengths"),
        pytest.param(get(b"/a", b"Content-Length: +1"), 400, id="signed length"),
        pytest.param(get(b"/a", b"Content-Length: 0x1"), 400, id="hexadecimal length"),
        pytest.param(get(b"/a", b"Content-Length:"), 400, id="no length"),
        pytest.param(get(b"/a", b"Content-Length: 18446744073709551616"), 400, id="beyond 64 bits"),
        pytest.param(get(b"/a", b"Transfer-Encoding:"), 400, id="no coding"),
        pytest.param(get(b"/a", *[b"Transfer-Encoding: chunked"] * 2), 400, id="chunked twice"),
        pytest.param(get(b"/a", b"Transfer-Encoding: xchunked"), 501, id="unknown coding"),
        pytest.param(get(b"/a", b"Transfer-Encoding: gzip, chunked"), 501, id="compressed"),
        pytest.param(get(b"/a", b"Transfer-Encoding: \x0bchunked"), 400, id="coding after VT"),
        pytest.param(b"GET /a HTTP/1.1\nHost: a\r\n\r\n", 400, id="bare LF after the first line"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\n\r\n", 400, id="bare LF after a header"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\r\n\n", 400, id="bare LF at the end"),
        pytest.param(get(b"/a", b"X: 1\rY: 2"), 400, id="bare CR in a value"),
        pytest.param(get(b"/a", b"X: 1\r"), 400, id="two CR"),
        pytest.param(get(b"/a", b"X: \x7f"), 400, id="DEL in a value"),
        pytest.param(get(b"/a", b"X"), 400, id="no colon"),
        pytest.param(get(b"/a", b": 1"), 400, id="no name"),
        pytest.param(get(b"/a", b"X Y: 1"), 400, id="space in a name"),
        pytest.param(get(b"/a", b"X\x00: 1"), 400, id="NUL in a name"),
        pytest.param(get(b"/a", b"X\xe9: 1"), 400, id="non-ASCII in a name"),
        pytest.param(
            b"GET /a HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n", 400, id="folded first header line"
        ),
        pytest.param(b"GET\t/a HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="tab in the first line"),
        pytest.param(b"GET /a HTTP/1.1 \r\nHost: a\r\n\r\n", 400, id="space behind the version"),
        pytest.param(b" GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="space before the method"),
        pytest.param(b"get /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="method in lower case"),
        pytest.param(b"BREW /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="unknown method"),
        pytest.param(get(b"a"), 400, id="relative target"),
        pytest.param(get(b"/a", version=b"1.2"), 400, id="HTTP/1.2"),
        pytest.param(get(b"/a", version=b"1.11"), 400, id="HTTP/1.11"),
        pytest.param(b"GET /a http/1.1\r\nHost: a\r\n\r\n", 400, id="http/1.1"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 preface"),
        pytest.param(get(b"/a", b"X: " + b"x" * 65_530), 431, id="large header"),
        pytest.param(get(b"/" + b"a" * 65_540), 431, id="large target"),
        pytest.param(get(b"/a", *[b"X: 1"] * 100), 431, id="too many header lines"),
    ],
)
async def test_refused(serve: Serve, request_bytes: bytes, expected: int) -> None:
    running = await serve(QUICK)
    answer = await running.send(request_bytes)
    assert status(answer) == expected
    assert b"connection: close" in answer
    assert running.scopes == []
    assert running.refusals == [expected]


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(get(b"/a", *[b"X: 1"] * 99), id="100 header lines"),
        pytest.param(get(b"/a", b"X: " + b"x" * 65_000), id="nearly 64 kB"),
        pytest.param(b"GET /a HTTP/1.0\r\n\r\n", id="HTTP/1.0 without host"),
        pytest.param(b"\r\n\r\n" + get(b"/a"), id="empty lines first"),
        pytest.param(b"GET  /a  HTTP/1.1\r\nHost: a\r\n\r\n", id="spaces in the first line"),
        pytest.param(b"M-SEARCH /a HTTP/1.1\r\nHost: a\r\n\r\n", id="M-SEARCH"),
        pytest.param(get(b"/a", b"X: \xff", b"Y:", b"Z:\t1"), id="any text in a value"),
        pytest.param(get(b"/a", b"Content-Length: " + b"0" * 40), id="no length in many digits"),
        pytest.param(get(b"/a", b"Connection: Upgrade", b"Upgrade: websocket"), id="WebSocket"),
    ],
)
async def test_accepted(serve: Serve, request_bytes: bytes) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    client.send(request_bytes)
    assert (await client.read_response())[0] == 200
    client.close()


async def test_the_target_arrives_as_it_was_sent(serve: Serve) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    client.send(get(b"/a/%2e%2E//b;c=%2f?x=/../y?z"))
    _, headers, body = await client.read_response()
    assert body == b"/a/%2e%2E//b;c=%2f?x=/../y?z"
    assert b"server" not in headers
    assert b"date" in headers
    client.close()


async def test_a_large_head_in_small_pieces_is_refused_before_it_ends(serve: Serve) -> None:
    running = await serve(ListenerLimits(max_head_bytes=4096, linger_seconds=0.1))
    client = await running.connect()
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX: ")
    for _ in range(9):
        client.send(b"x" * 512)
        await asyncio.sleep(0.005)
    assert status(await client.read_rest()) == 431


async def test_one_who_keeps_sending_still_reads_the_refusal(serve: Serve) -> None:
    running = await serve(QUICK)
    assert status(await running.send(get(b"/a", b"X: " + b"x" * 3_000_000))) == 431


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        pytest.param(b"GET /a HT", b"HTTP/1.1 408", id="request line"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n", b"HTTP/1.1 408", id="header lines"),
        pytest.param(b"", b"", id="silence"),
        pytest.param(b"\r\n\r\n", b"", id="empty lines only"),
    ],
)
async def test_slow_heads_are_cut_off(serve: Serve, begun: bytes, expected: bytes) -> None:
    running = await serve(QUICK)
    began = time.monotonic()
    answer = await running.send(begun)
    assert answer[: len(expected) or None] == expected
    assert 0.2 < time.monotonic() - began < 2


async def test_a_byte_now_and_then_buys_no_time(serve: Serve) -> None:
    running = await serve(QUICK)
    client = await running.connect()

    async def drip() -> None:
        for byte in b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100:
            client.send(bytes((byte,)))
            await asyncio.sleep(0.02)

    began = time.monotonic()
    dripping = asyncio.create_task(drip())
    assert status(await client.read_rest()) == 408
    assert time.monotonic() - began < 1
    dripping.cancel()


async def test_a_slow_head_on_a_used_connection_is_cut_off(serve: Serve) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    client.send(get(b"/a"))
    assert (await client.read_response())[0] == 200
    await asyncio.sleep(0.5)  # idle between requests is not slow
    client.send(b"GET /b HTTP/1.1\r\n")
    assert status(await client.read_rest()) == 408


async def test_a_slow_body_is_cut_off(serve: Serve) -> None:
    running = await serve(QUICK, read_body=True)
    assert await running.send(get(b"/a", b"Content-Length: 5") + b"abc") == b""
    await asyncio.sleep(0.02)
    assert running.disconnects == 1


def chunked(body: bytes) -> bytes:
    return get(b"/a", b"Transfer-Encoding: chunked") + body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"0x1\r\na\r\n0\r\n\r\n", id="hexadecimal with a prefix"),
        pytest.param(b"-1\r\na\r\n0\r\n\r\n", id="signed"),
        pytest.param(b"1 \r\na\r\n0\r\n\r\n", id="space behind the size"),
        pytest.param(b" 1\r\na\r\n0\r\n\r\n", id="space before the size"),
        pytest.param(b"\r\na\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"1\na\r\n0\r\n\r\n", id="bare LF behind the size"),
        pytest.param(b"1\r\na\n0\r\n\r\n", id="bare LF behind the content"),
        pytest.param(b"1\r\na\r\n0\r\n\n", id="bare LF at the end"),
        pytest.param(b"1\r\nab\r\n0\r\n\r\n", id="more content than said"),
        pytest.param(b"10000000000000000\r\n", id="beyond 64 bits"),
        pytest.param(b"1;a\nb\r\na\r\n0\r\n\r\n", id="bare LF in an extension"),
        pytest.param(b"1;a\rb\r\na\r\n0\r\n\r\n", id="bare CR in an extension"),
        pytest.param(b"0\r\nX: a\n\r\n", id="bare LF in a trailer"),
        pytest.param(b"0\r\nX: a\r\n b\r\n\r\n", id="folded trailer"),
        pytest.param(b"0\r\nContent-Length: 5\r\n\r\n", id="length in a trailer"),
        pytest.param(b"0\r\nTransfer-Encoding: chunked\r\n\r\n", id="coding in a trailer"),
    ],
)
async def test_a_malformed_body_ends_the_connection(serve: Serve, body: bytes) -> None:
    running = await serve(QUICK, read_body=True)
    assert await running.send(chunked(body) + get(b"/b")) == b""
    await wait_until(lambda: running.disconnects == 1)
    assert [scope["path"] for scope in running.scopes] == ["/a"]
    assert running.refusals == [400]


@pytest.mark.parametrize("cut", [None, 1, 7])
async def test_a_chunked_body(serve: Serve, cut: int | None) -> None:
    running = await serve(QUICK, read_body=True)
    client = await running.connect()
    whole = chunked(b'3;a=b;c="d;e"\r\na\r\n\r\nA\r\n0123456789\r\n000\r\nX: y\r\n\r\n')
    for at in range(0, len(whole), cut or len(whole)):
        client.send(whole[at : at + (cut or len(whole))])
        await asyncio.sleep(0)
    assert (await client.read_response())[0] == 200
    assert running.bodies == [b"a\r\n0123456789"]
    client.send(get(b"/b"))
    assert (await client.read_response())[2] == b"/b"
    client.close()


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"0\r\n" + b"X: y\r\n" * 40_000, id="many trailer fields"),
        pytest.param(b"0\r\nX: " + b"y" * 200_000, id="a long trailer field"),
        pytest.param(b"1;" + b"y" * 200_000, id="a long extension"),
    ],
)
async def test_what_is_no_content_of_a_body_is_bounded(serve: Serve, flood: bytes) -> None:
    running = await serve(ListenerLimits(linger_seconds=0.1), read_body=True)
    client = await running.connect()
    client.send(chunked(b"1\r\na\r\n"))
    for at in range(0, len(flood), 20_000):
        client.send(flood[at : at + 20_000])
        await asyncio.sleep(0.005)
    await wait_until(lambda: running.refusals == [400])
    with contextlib.suppress(ConnectionError):
        assert await client.read_rest() == b""


async def test_no_more_connections_than_allowed(serve: Serve) -> None:
    running = await serve(ListenerLimits(max_connections=2))
    first, second = await running.connect(), await running.connect()
    for client in (first, second):
        client.send(get(b"/a"))
        assert (await client.read_response())[0] == 200
    assert status(await running.send(b"")) == 503
    first.close()
    await asyncio.sleep(0.05)
    third = await running.connect()
    third.send(get(b"/a"))
    assert (await third.read_response())[0] == 200
    second.close()
    third.close()


async def test_keep_alive(serve: Serve) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    for target in (b"/1", b"/2", b"/3"):
        client.send(get(target))
        assert (await client.read_response())[2] == target
    client.close()


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    running = await serve(QUICK, delay=0.02)
    client = await running.connect()
    client.send(get(b"/1") + get(b"/2") + get(b"/3"))
    assert [(await client.read_response())[2] for _ in range(3)] == [b"/1", b"/2", b"/3"]
    client.close()


async def test_so_many_requests_wait_for_their_turn(serve: Serve) -> None:
    running = await serve(QUICK, delay=0.02)
    client = await running.connect()
    client.send(b"".join(get(b"/%d" % at) for at in range(40)))
    assert [(await client.read_response())[2] for _ in range(33)] == [
        b"/%d" % at for at in range(33)
    ]
    assert (await client.read_response())[0] == 429
    assert await client.read_rest() == b""
    assert running.refusals == [429]
    assert len(running.scopes) == 33


async def test_who_never_reads_is_left(serve: Serve) -> None:
    running = await serve(ListenerLimits(write_timeout_seconds=0.3), body=b"x" * 10_000_000)
    loop = asyncio.get_running_loop()
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await loop.sock_connect(deaf, ("127.0.0.1", running.port))
        await loop.sock_sendall(deaf, get(b"/a"))
        await wait_until(lambda: running.connections == 1)
        await wait_until(lambda: running.connections == 0)


async def test_who_reads_slowly_is_waited_for(serve: Serve) -> None:
    running = await serve(ListenerLimits(write_timeout_seconds=1.0), body=b"x" * 10_000_000)
    client = await running.connect()
    client.send(get(b"/a"))
    got = 0
    while got < 10_000_000:
        got += len(await client.read_some())
    client.close()


async def test_a_refusal_never_overtakes_an_answer(serve: Serve) -> None:
    running = await serve(QUICK, delay=0.05)
    client = await running.connect()
    client.send(get(b"/1") + get(b"/2") + get(b"/3#x") + get(b"/4"))
    assert [(await client.read_response())[2] for _ in range(2)] == [b"/1", b"/2"]
    assert status(await client.read_rest()) == 400
    assert len(running.scopes) == 2


async def test_a_body_nobody_read_is_never_taken_for_a_request(serve: Serve) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    client.send(get(b"/a", b"Content-Length: 500"))
    _, headers, _ = await client.read_response()
    assert headers[b"connection"] == b"close"
    client.send(get(b"/b"))
    assert await client.read_rest() == b""
    assert len(running.scopes) == 1


async def test_a_body_that_came_in_time_keeps_the_connection(serve: Serve) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    for _ in range(2):
        client.send(get(b"/a", b"Content-Length: 3") + b"abc")
        _, headers, _ = await client.read_response()
        assert b"connection" not in headers
    client.close()


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        pytest.param((b"Connection: close",), b"1.1", id="close"),
        pytest.param((b"Connection: x, CLOSE",), b"1.1", id="close in a list"),
        pytest.param((), b"1.0", id="HTTP/1.0"),
        pytest.param((b"Connection: keep-alive",), b"1.0", id="HTTP/1.0 that would stay"),
    ],
)
async def test_behind_the_last_request_nothing_is_one(
    serve: Serve, lines: tuple[bytes, ...], version: bytes
) -> None:
    running = await serve(QUICK)
    client = await running.connect()
    client.send(get(b"/a", *lines, version=version) + get(b"/b"))
    _, headers, body = await client.read_response()
    assert (headers[b"connection"], body) == (b"close", b"/a")
    assert await client.read_rest() == b""
    assert [scope["path"] for scope in running.scopes] == ["/a"]
    assert running.refusals == []


async def test_who_waits_for_a_word_before_the_body_gets_it(serve: Serve) -> None:
    running = await serve(QUICK, read_body=True)
    client = await running.connect()
    client.send(get(b"/a", b"Expect: 100-continue", b"Content-Length: 3"))
    assert (await client.read_response())[0] == 100
    client.send(b"abc")
    assert (await client.read_response())[0] == 200
    assert running.bodies == [b"abc"]
    client.close()


async def test_nothing_after_an_upgrade_is_taken_for_a_request(serve: Serve) -> None:
    running = await serve(QUICK)
    upgrade = get(b"/a", b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 20")
    client = await running.connect()
    client.send(upgrade + get(b"/b"))
    assert (await client.read_response())[2] == b"/a"
    assert await client.read_rest() == b""
    assert len(running.scopes) == 1


async def test_trailers_are_not_headers(serve: Serve) -> None:
    running = await serve(QUICK, read_body=True)
    client = await running.connect()
    body = b"1\r\na\r\n0\r\nX-Forwarded-Uri: /admin\r\n\r\n"
    client.send(get(b"/a", b"Transfer-Encoding: chunked") + body)
    assert (await client.read_response())[0] == 200
    assert b"x-forwarded-uri" not in dict(running.scopes[0]["headers"])
    client.close()


async def test_while_stopping_what_was_asked_is_answered(serve: Serve) -> None:
    running = await serve(ListenerLimits(), delay=0.3)
    busy, fresh, idle = [await running.connect() for _ in range(3)]
    idle.send(get(b"/idle"))
    assert (await idle.read_response())[0] == 200
    busy.send(get(b"/busy"))
    await asyncio.sleep(0.05)
    running.stop()
    await asyncio.sleep(0.15)  # it has noticed by now
    fresh.send(get(b"/fresh"))
    for client, target in ((busy, b"/busy"), (fresh, b"/fresh")):
        _, headers, body = await client.read_response()
        assert body == target
        assert headers[b"connection"] == b"close"
        assert await client.read_rest() == b""
    assert await idle.read_rest() == b""
