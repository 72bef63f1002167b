"""What every proxy tells of a request, read alike whatever the words that it comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.protocol_upgrade import asks_for_unsupported_upgrade
from authz_sidecar.core.types import CheckRequest, Fact
from authz_sidecar.proxies import reading

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers
    from authz_sidecar.proxies.trust import Networks

FACTS = frozenset({Fact.METHOD, Fact.PATH, Fact.QUERY, Fact.CLIENT_ADDRESS, Fact.HEADERS})


def request_of(
    headers: Headers,
    *,
    adapter: str,
    scheme: str,
    target: str,
    method: str,
    host: str,
    trusted_hops: Networks,
) -> CheckRequest:
    """`headers` are all that the proxy sent; the others are as it said them, none of them judged yet.
    Raises `BadProxyRequest`."""
    known_scheme = reading.scheme(scheme)
    path, query = reading.target(target)
    return CheckRequest(
        adapter=adapter,
        method=reading.method(method),
        origin=reading.origin(host, under=known_scheme),
        path=path,
        query=query,
        client=reading.client_address(headers, skipped=trusted_hops),
        headers=reading.clients_own(headers),
        websocket=reading.is_websocket(headers, said_scheme=scheme),
        unsupported_upgrade=asks_for_unsupported_upgrade(headers),
        facts=FACTS,
    )
