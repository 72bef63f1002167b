"""What one header line of a question says, for lines in the plainest form.

Decides which lines are plain; anything that frames a message, or could be read in two ways, is not.
Proxies repeat most lines from question to question, so what a line says is remembered.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters import forward_auth, request_parsing
from authz_sidecar.errors import BadProxyRequest

if TYPE_CHECKING:
    from authz_sidecar.adapters.trusted_peers import Networks
    from authz_sidecar.core.header_names import ProtectedNames

# More than one SP, a tab, or a byte outside visible ASCII is left to the parser.
_LINE = re.compile(rb"([A-Za-z0-9_-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")

# They say where a message ends and what the connection becomes (RFC 9112 sections 6 and 9, RFC
# 9110 sections 7.8 and 10.1.1); `Proxy-Connection` is read as `Connection` by some parsers.
_FRAMING = frozenset(
    ["expect", "http2-settings", "keep-alive", "proxy-connection", "trailer", "transfer-encoding"]
)

MOST_BYTES = 2 * 1024 * 1024
_LONGEST_KEPT = 4096


class Role(IntEnum):
    """What a line is to us. The client's own lines come first; from `COOKIE` on, a second line of
    the same role makes the question an unusual one."""

    CLIENTS = 0
    PROXYS = 1
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

Line = tuple[int, tuple[str, str] | None, Any]
"""Its role; name and value, where it is the client's own; and what the role makes of the value: the
text itself, the client's address, or whether the connection is kept."""


class Lines:
    """Bounded: a client chooses much of what stands in a question."""

    __slots__ = ("_hops", "_known", "_names", "_size")

    def __init__(self, *, names: ProtectedNames, trusted_hops: Networks) -> None:
        self._names = names
        self._hops = trusted_hops
        self._known: dict[bytes, Line] = {}
        self._size = 0

    @property
    def known(self) -> dict[bytes, Line]:
        """To be asked first."""
        return self._known

    def learn(self, raw: bytes) -> Line | None:
        """None for a line that is not plain, or whose name could be taken for a protected one."""
        found = _LINE.fullmatch(raw)
        if found is None:
            return None
        name, value = found[1].decode().lower(), found[2].decode()
        if self._names.is_ambiguous(name):
            return None
        try:
            line = self._read(name, value)
        except BadProxyRequest:
            return None
        if line is not None and len(raw) <= _LONGEST_KEPT:
            if self._size > MOST_BYTES:
                self._known.clear()
                self._size = 0
            self._known[raw] = line
            # What is kept of a line takes about three times its length, and the objects.
            self._size += len(raw) + 100
        return line

    def _read(self, name: str, value: str) -> Line | None:
        own = next(iter(request_parsing.clients_own(((name, value),))), None)
        role = _ROLES.get(name, Role.PROXYS if own is None else Role.CLIENTS)
        meant: Any = value
        match role:
            case Role.METHOD:
                request_parsing.parse_method(value)
            case Role.PROTO if (
                request_parsing.parse_scheme(value) != value
            ):  # `ws` and `wss` are upgrades
                return None
            case Role.CLIENT_ADDRESS:
                meant = request_parsing.client_address(((name, value),), skipped=self._hops)
            case Role.LENGTH if value != "0":
                return None
            case Role.CONNECTION:
                if value.lower() not in {"close", "keep-alive"}:
                    return None
                meant = value.lower() == "keep-alive"
            case _:
                pass
        unusual = name in _FRAMING or request_parsing.is_websocket(((name, value),), said_scheme="")
        return None if unusual or name == "upgrade" else (int(role), own, meant)
