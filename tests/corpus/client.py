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

TRUSTED_PEER, UNTRUSTED_PEER = "127.0.0.1", "127.0.0.2"
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
    source: str = TRUSTED_PEER,
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
        response = Reader(connection).answer(to=method)
    assert response is not None, "no answer"
    return response


@dataclass(kw_only=True)
class CookieBrowser:
    """A browser on the sidecar's own pages; the jars are by host."""

    sidecar: Sidecar
    jars: dict[str, dict[str, str]] = field(default_factory=dict)

    def get(self, url: str, *, headers: Lines = NAVIGATION) -> Message:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = (("Host", parts.netloc), *headers)
        if jar := self.jars.get(parts.netloc):
            lines += (("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items())),)
        response = send(self.sidecar.web, method="GET", target=target, headers=lines)
        update_cookies(self.jars.setdefault(parts.netloc, {}), response)
        return response

    def follow(self, response: Message, *, last_path: str) -> Message:
        """Until an answer leads outside our own pages; `last_path` is the path that is the last."""
        for _ in range(8):
            location = response.one("location")
            if (
                location is None
                or "/.auth/" not in location
                or urlsplit(location).path == last_path
            ):
                return response
            response = self.get(location)
        raise AssertionError(f"no end: {response}")


def update_cookies(jar: dict[str, str], response: Message) -> None:
    for line in response.all("set-cookie"):
        pair, _, attributes = line.partition(";")
        name, _, value = pair.partition("=")
        if "max-age=0" in attributes.lower():
            jar.pop(name, None)
        else:
            jar[name] = value
