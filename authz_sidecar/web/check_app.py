"""The ASGI application of the check listener: any method, exact raw paths, no body, no framework.

Judges the peer only, and resolves the client's address for the web listener; the subrequest belongs
to the adapters and the authorizer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters import envoy
from authz_sidecar.adapters.base import HttpResponse, SubRequest
from authz_sidecar.adapters.request_parsing import client_address
from authz_sidecar.adapters.trusted_peers import NetworkSet, is_trusted
from authz_sidecar.core.browser_headers import with_isolation_headers

if TYPE_CHECKING:
    from starlette.requests import Request

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.check.authorizer import Authorizer
    from authz_sidecar.core.types import Address


logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PLAIN = ("content-type", "text/plain")
_NOT_FOUND = HttpResponse(
    status=404, headers=with_isolation_headers(404, (_PLAIN,)), body=b"Not found.\n"
)
# An untrusted peer must not hold one of a bounded number of connections.
_FORBIDDEN = HttpResponse(
    status=403,
    headers=with_isolation_headers(403, (_PLAIN, ("connection", "close"))),
    body=b"Forbidden.\n",
)
_ENVOY_PREFIX = f"{envoy.PATH_PREFIX}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckApp:
    """The ASGI application of the check listener.

    - `adapters`: by raw path (`adapters/registry.py`).
    - `trusted_peers`: the peers that may send subrequests.
    """

    authorizer: Authorizer
    adapters: Mapping[str, Adapter]
    trusted_peers: NetworkSet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive  # the body is never read
        if scope["type"] != "http":
            return
        await _send_response(await self._respond(scope), scope["method"], send)

    async def _respond(self, scope: Scope) -> HttpResponse:
        peer = _peer_address(scope)
        if not self.is_trusted_connection(scope):
            logger.warning("`%s` is not among server.trusted_proxies and may not ask", peer)
            return _FORBIDDEN
        target = _target(scope)
        adapter = self._adapter(target)
        if adapter is None:
            return _NOT_FOUND
        headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        )
        subrequest = SubRequest(method=scope["method"], target=target, headers=headers, peer=peer)
        return await self.authorizer.check(adapter, subrequest)

    def is_trusted_connection(self, scope: Mapping[str, Any]) -> bool:
        """Whether the peer of a connection may send subrequests, by `client` and `server` of the
        scope."""
        peer = _peer_address(scope)
        return (
            _is_unix_socket(scope) if peer is None else is_trusted(peer, trusted=self.trusted_peers)
        )

    def _adapter(self, target: str) -> Adapter | None:
        path = target.partition("?")[0]
        if path.startswith(_ENVOY_PREFIX):
            path = _ENVOY_PREFIX
        return self.adapters.get(path)


def _is_unix_socket(scope: Mapping[str, Any]) -> bool:
    """Whether the listener is a Unix socket. A closed TCP connection has no peer address either."""
    server = scope.get("server")
    return server is None or server[1] is None


def _peer_address(scope: Mapping[str, Any]) -> Address | None:
    """Return the address of the socket's peer; None on a Unix socket."""
    client = scope.get("client")
    return ip_address(client[0].partition("%")[0]) if client else None


def _target(scope: Scope) -> str:
    """Return the raw target; `server/protocol.py` keeps it in the scope."""
    raw: bytes | None = scope.get("authz_target")
    if raw is None:
        query = scope["query_string"]
        raw = scope["raw_path"] + (b"?" + query if query else b"")
    return raw.decode("latin-1")


async def _send_response(response: HttpResponse, method: str, send: Send) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers
    ]
    # RFC 9112 section 6.3: a response to HEAD has no body, whatever its length says.
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


ClientAddressResolver = Callable[["Request"], "Address | None"]


def client_address_resolver(
    *, trusted_peers: NetworkSet, trusted_hops: NetworkSet
) -> ClientAddressResolver:
    """Return a function that resolves the client's address of a request.

    Only `trusted_peers` and Unix sockets are believed in `X-Forwarded-For`; for any other peer the
    result is the peer's own address.
    """

    def resolve(request: Request) -> Address | None:
        peer = ip_address(request.client.host.partition("%")[0]) if request.client else None
        if not is_trusted(peer, trusted=trusted_peers):
            return peer
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
        )
        return client_address(headers, trusted_hops=trusted_hops)

    return resolve
