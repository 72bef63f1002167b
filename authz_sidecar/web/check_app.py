"""The check listener's application: any method, exact raw paths, no body, no framework.

Only who asks is judged here; what is asked belongs to the adapters and the gate.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters import envoy
from authz_sidecar.adapters.base import RawRequest, Reply
from authz_sidecar.adapters.request_parsing import client_address
from authz_sidecar.adapters.trusted_peers import Networks, may_ask
from authz_sidecar.core.browser_headers import isolated

if TYPE_CHECKING:
    from starlette.requests import Request

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.check.authorizer import Gate
    from authz_sidecar.core.types import Address


logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PLAIN = ("content-type", "text/plain")
_NOT_FOUND = Reply(status=404, headers=isolated(404, (_PLAIN,)), body=b"Not found.\n")
# Who may not ask has no business to hold one of a bounded number of connections.
_UNTRUSTED = Reply(
    status=403,
    headers=isolated(403, (_PLAIN, ("connection", "close"))),
    body=b"Forbidden.\n",
)
_ENVOY = f"{envoy.PREFIX}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckApp:
    """`adapters` by raw path (`adapters/registry.py`); `trusted` are the peers that may ask."""

    gate: Gate
    adapters: Mapping[str, Adapter]
    trusted: Networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive  # the body is never read
        if scope["type"] != "http":
            return
        await _send(await self._reply(scope), scope["method"], send)

    async def _reply(self, scope: Scope) -> Reply:
        peer = _peer(scope)
        if not self.trusts(scope):
            logger.warning("`%s` is not among server.trusted_proxies and may not ask", peer)
            return _UNTRUSTED
        target = _target(scope)
        adapter = self._adapter(target)
        if adapter is None:
            return _NOT_FOUND
        headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        )
        raw = RawRequest(method=scope["method"], target=target, headers=headers, peer=peer)
        return await self.gate.check(adapter, raw)

    def trusts(self, scope: Mapping[str, Any]) -> bool:
        """Whether who is at the other end of the connection may ask; judged by `client` and
        `server` alone."""
        peer = _peer(scope)
        return _is_unix(scope) if peer is None else may_ask(peer, trusted=self.trusted)

    def _adapter(self, target: str) -> Adapter | None:
        path = target.partition("?")[0]
        if path.startswith(_ENVOY):
            path = _ENVOY
        return self.adapters.get(path)


def _is_unix(scope: Mapping[str, Any]) -> bool:
    """A TCP peer that is gone already has no address either, but the listener still has its own."""
    server = scope.get("server")
    return server is None or server[1] is None


def _peer(scope: Mapping[str, Any]) -> Address | None:
    """The socket's own address; None on a Unix socket."""
    client = scope.get("client")
    return ip_address(client[0].partition("%")[0]) if client else None


def _target(scope: Scope) -> str:
    """As it came from the socket where our protocol kept it (`server/protocol.py`)."""
    raw: bytes | None = scope.get("authz_target")
    if raw is None:
        query = scope["query_string"]
        raw = scope["raw_path"] + (b"?" + query if query else b"")
    return raw.decode("latin-1")


async def _send(reply: Reply, method: str, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    # RFC 9112 section 6.3: an answer to HEAD has no body, whatever its length says.
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if method == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})


AddressOf = Callable[["Request"], "Address | None"]


def address_of(*, trusted: Networks, hops: Networks) -> AddressOf:
    """`X-Forwarded-For` is believed of `trusted` peers and Unix sockets alone."""

    def address(request: Request) -> Address | None:
        peer = ip_address(request.client.host.partition("%")[0]) if request.client else None
        if not may_ask(peer, trusted=trusted):
            return peer
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
        )
        return client_address(headers, skipped=hops)

    return address
