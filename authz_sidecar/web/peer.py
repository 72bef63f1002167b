"""Whose browser asks on the web listener: what our own proxy says, and otherwise the socket."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from authz_sidecar.proxies.reading import client_address
from authz_sidecar.proxies.trust import Networks, may_ask

if TYPE_CHECKING:
    from starlette.requests import Request

    from authz_sidecar.core.types import Address

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
