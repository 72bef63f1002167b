"""The adapters as the lane knows them, and the request lines that they are asked by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.adapters import envoy, ingress_nginx
from authz_sidecar.adapters.forward_auth import Relaying
from authz_sidecar.adapters.nginx import Nginx, NginxChallenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.core.types import Fact

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
# RFC 3986 section 3.3; whatever else a target may hold, the parser is to judge.
BELOW_ENVOY = re.compile(
    rf"({'|'.join(METHODS)}) {envoy.PREFIX}(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)"
    r" HTTP/1\.([01])\r\n".encode()
)
_WITH_QUERY = re.compile(
    rf"([A-Z]+ {ingress_nginx.PATH})\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*( HTTP/1\.[01])".encode()
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """`said` is the name that the adapter gives to the requests it reads; `forwarded` that the
    facts are in the `X-Forwarded-*` family; `repeats` that what it answers to an allowed request
    does not depend on the request; `repeated` that it asks again about what was refused."""

    adapter: Adapter
    name: str
    said: str
    facts: frozenset[Fact]
    forwarded: bool
    repeats: bool
    repeated: bool


class Start(NamedTuple):
    """A request line; `newer` than HTTP/1.0."""

    dialect: Dialect
    method: str
    newer: bool


class Dialects:
    """`envoy` by method and minor version, for Envoy's request lines say the target too."""

    __slots__ = ("envoy", "starts")

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        dialects = {path: _dialect(adapter) for path, adapter in adapters.items()}
        below = dialects.pop(f"{envoy.PREFIX}/", None)
        self.envoy: dict[tuple[bytes, bytes], Start] = {}
        self.starts: dict[bytes, Start] = {}
        for method in METHODS:
            for minor in (b"0", b"1"):
                if below is not None:
                    start = Start(below, method, minor == b"1")
                    self.envoy[method.encode(), minor] = start
                for path, dialect in dialects.items():
                    line = f"{method} {path} HTTP/1.".encode() + minor
                    self.starts[line] = Start(dialect, method, minor == b"1")

    def start(self, line: bytes) -> Start | None:
        """Of a request line as it came: the controller's questions have a query, which its adapter
        reads."""
        queried = _WITH_QUERY.fullmatch(line)
        return self.starts.get(line if queried is None else b"".join(queried.groups()))


def _dialect(adapter: Adapter) -> Dialect:
    return Dialect(
        adapter=adapter,
        name=adapter.name,
        said="nginx" if isinstance(adapter, NginxChallenge) else adapter.name,
        facts=adapter.facts,
        forwarded=isinstance(adapter, Nginx | NginxChallenge | Relaying),
        repeats=not isinstance(adapter, NginxChallenge),
        repeated=isinstance(adapter, NginxChallenge),
    )
