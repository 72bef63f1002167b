"""Header lines of subrequests, parsed and cached, for lines in the plainest form.

Decides which lines are plain; a line that frames a message, or that can be read in two ways, is
not. Proxies repeat most lines from request to request, so parsed lines are cached.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters import forward_auth, request_parsing
from authz_sidecar.errors import BadProxyRequest

if TYPE_CHECKING:
    from authz_sidecar.adapters.trusted_peers import NetworkSet
    from authz_sidecar.core.header_names import ProtectedNames

# Lines with another separator than one SP, a tab, or a byte outside ASCII are not plain.
_LINE = re.compile(rb"([A-Za-z0-9_-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")

# They frame the message and control the connection (RFC 9112 sections 6 and 9, RFC
# 9110 sections 7.8 and 10.1.1); `Proxy-Connection` is read as `Connection` by some parsers.
_FRAMING = frozenset(
    ["expect", "http2-settings", "keep-alive", "proxy-connection", "trailer", "transfer-encoding"]
)

MAX_BYTES = 2 * 1024 * 1024
_MAX_CACHED_LINE = 4096


class Role(IntEnum):
    """The role of a header line. From `COOKIE` on, a second line of the same role is not plain."""

    CLIENT = 0
    PROXY = 1
    COOKIE = 2
    AUTHORIZATION = 3
    HOST = 4
    METHOD = 5
    PROTO = 6
    FORWARDED_HOST = 7
    URI = 8
    CLIENT_ADDRESS = 9
    LENGTH = 10
    CONNECTION = 11


_ROLES = {
    "cookie": Role.COOKIE,
    "authorization": Role.AUTHORIZATION,
    "host": Role.HOST,
    forward_auth.METHOD: Role.METHOD,
    forward_auth.PROTO: Role.PROTO,
    forward_auth.HOST: Role.FORWARDED_HOST,
    forward_auth.URI: Role.URI,
    "x-forwarded-for": Role.CLIENT_ADDRESS,
    "content-length": Role.LENGTH,
    "connection": Role.CONNECTION,
}

HeaderLine = tuple[int, tuple[str, str] | None, Any]
"""The role; name and value, if the line is the client's own; and the parsed value: the text itself, the
client's address, or whether the connection is kept alive."""


class HeaderLineCache:
    """A bounded cache of parsed lines: clients choose much of a subrequest."""

    __slots__ = ("_names", "_parsed", "_size", "_trusted_hops")

    def __init__(self, *, names: ProtectedNames, trusted_hops: NetworkSet) -> None:
        self._names = names
        self._trusted_hops = trusted_hops
        self._parsed: dict[bytes, HeaderLine] = {}
        self._size = 0

    @property
    def parsed(self) -> dict[bytes, HeaderLine]:
        """The cached lines, for a lookup before `parse`."""
        return self._parsed

    def parse(self, raw: bytes) -> HeaderLine | None:
        """Parse and cache a line; None when it is not plain or its name resembles a protected one."""
        match = _LINE.fullmatch(raw)
        if match is None:
            return None
        name, value = match[1].decode().lower(), match[2].decode()
        if self._names.is_ambiguous(name):
            return None
        try:
            line = self._interpret(name, value)
        except BadProxyRequest:
            return None
        if line is not None and len(raw) <= _MAX_CACHED_LINE:
            if self._size > MAX_BYTES:
                self._parsed.clear()
                self._size = 0
            self._parsed[raw] = line
            # A cached line takes about three times its length, and its objects.
            self._size += len(raw) + 100
        return line

    def _interpret(self, name: str, value: str) -> HeaderLine | None:
        own = next(iter(request_parsing.client_headers(((name, value),))), None)
        role = _ROLES.get(name, Role.PROXY if own is None else Role.CLIENT)
        interpreted: Any = value
        match role:
            case Role.METHOD:
                request_parsing.parse_method(value)
            case Role.PROTO if (
                request_parsing.parse_scheme(value) != value
            ):  # `ws` and `wss` are upgrades
                return None
            case Role.CLIENT_ADDRESS:
                interpreted = request_parsing.client_address(
                    ((name, value),), trusted_hops=self._trusted_hops
                )
            case Role.LENGTH if value != "0":
                return None
            case Role.CONNECTION:
                if value.lower() not in {"close", "keep-alive"}:
                    return None
                interpreted = value.lower() == "keep-alive"
            case _:
                pass
        unusual = name in _FRAMING or request_parsing.is_websocket(
            ((name, value),), reported_scheme=""
        )
        return None if unusual or name == "upgrade" else (int(role), own, interpreted)
