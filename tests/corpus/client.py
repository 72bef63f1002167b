"""Bytes to the running sidecar, and a browser that keeps cookies: nothing here repairs anything."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.servers.wire import Lines, Message, Reader

if TYPE_CHECKING:
    from tests.servers.sidecar import Listener, Sidecar

TRUSTED, UNTRUSTED = "127.0.0.1", "127.0.0.2"
NAVIGATION: Lines = (
    ("Accept", "text/html"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
)


def send(
    listener: Listener,
    *,
    method: str,
    target: str,
    headers: Lines,
    body: bytes = b"",
    version: str = "1.1",
    encoding: str = "utf-8",
    source: str = TRUSTED,
) -> Message:
    """The answer, which must come. A server that has read enough may stop listening before we have
    said everything."""
    head = f"{method} {target} HTTP/{version}\r\n".encode(encoding)
    for name, value in headers:
        head += f"{name}: {value}\r\n".encode(encoding)
    with socket.create_connection(
        (listener.host, listener.port), timeout=20, source_address=(source, 0)
    ) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head + b"\r\n" + body)
        answer = Reader(connection).answer(to=method)
    assert answer is not None, "no answer"
    return answer


@dataclass(kw_only=True)
class Walker:
    """A browser on the sidecar's own pages; the jars are by host."""

    sidecar: Sidecar
    jars: dict[str, dict[str, str]] = field(default_factory=dict)

    def get(self, url: str, *, headers: Lines = NAVIGATION) -> Message:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = (("Host", parts.netloc), *headers)
        if jar := self.jars.get(parts.netloc):
            lines += (("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items())),)
        answer = send(self.sidecar.web, method="GET", target=target, headers=lines)
        keep(self.jars.setdefault(parts.netloc, {}), answer)
        return answer

    def follow(self, answer: Message, *, to: str) -> Message:
        """Until an answer leads outside our own pages; `to` is the path that is the last."""
        for _ in range(8):
            location = answer.one("location")
            if location is None or "/.auth/" not in location or urlsplit(location).path == to:
                return answer
            answer = self.get(location)
        raise AssertionError(f"no end: {answer}")


def keep(jar: dict[str, str], answer: Message) -> None:
    for line in answer.all("set-cookie"):
        pair, _, attributes = line.partition(";")
        name, _, value = pair.partition("=")
        if "max-age=0" in attributes.lower():
            jar.pop(name, None)
        else:
            jar[name] = value
