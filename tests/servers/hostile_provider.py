"""A provider that does not behave: real HTTP on loopback, and for each path whatever a test wants
to be answered: nothing at all, garbage, a flood, a redirect."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.certificate import Certificate


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: threading.Event | None = None
    """Held back until this is set."""


def document(value: object, status: int = 200) -> Answer:
    headers = {"content-type": "application/json"}
    return Answer(status=status, body=json.dumps(value).encode(), headers=headers)


@dataclass(kw_only=True)
class HostileProvider:
    """`answers` by path; `seen` are the requests that came: method, path, headers, body. While an
    answer is made, `asking.headers` are those of its own request."""

    issuer: str = ""
    answers: dict[str, Answer | Callable[[bytes], Answer]] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    asking: threading.local = field(default_factory=threading.local)

    def asked_for(self, path: str) -> int:
        return sum(1 for _, seen, _, _ in self.seen if seen.partition("?")[0] == path)

    def metadata(self, **changes: object) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        } | changes

    def offers(self, **changes: object) -> None:
        self.answers["/.well-known/openid-configuration"] = document(self.metadata(**changes))


@contextlib.contextmanager
def running_hostile_provider(
    certificate: Certificate | None = None,
) -> Iterator[HostileProvider]:
    """Over TLS where there is a certificate, which nobody trusts by itself."""
    provider = HostileProvider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.seen.append((self.command, self.path, headers, body))
            provider.asking.headers = headers
            found = provider.answers.get(self.path.partition("?")[0], Answer(status=404))
            answer = found if isinstance(found, Answer) else found(body)
            if answer.delay is not None:
                answer.delay.wait(30)
            with contextlib.suppress(OSError):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        provider.issuer = f"http://localhost:{server.server_address[1]}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            provider.issuer = provider.issuer.replace("http://", "https://")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join(10)
