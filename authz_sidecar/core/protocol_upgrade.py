"""Which protocol a request asks to switch its connection to (RFC 9110 section 7.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

WEBSOCKET = "websocket"
_HTTP2_SETTINGS = "http2-settings"


def requests_unsupported_upgrade(headers: Headers) -> bool:
    """Whether the request asks for an upgrade other than to one WebSocket.

    After a `101` the connection belongs to the new protocol, and a proxy passes on all that follows
    unchecked. With a WebSocket these are the messages of one request that was checked (RFC 6455).
    With any other protocol they are unknown, and HTTP/2 (`h2c`) carries requests of its own. So
    `Upgrade` is absent, or one line with the one word `websocket`: no list, no version.
    `HTTP2-Settings` belongs to `h2c` alone (RFC 7540 section 3.2.1; withdrawn by RFC 9113 section
    3.1).
    """
    protocols = [value.strip(" \t").lower() for name, value in headers if name == "upgrade"]
    return (bool(protocols) and protocols != [WEBSOCKET]) or any(
        name == _HTTP2_SETTINGS for name, _ in headers
    )
