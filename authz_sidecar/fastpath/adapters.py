"""The adapters as the lane knows them, and the request lines that they are asked by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.adapters import envoy, ingress_nginx
from authz_sidecar.adapters.forward_auth import ForwardAuth
from authz_sidecar.adapters.nginx import Nginx, NginxChallenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.core.types import RequestAttribute

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
# RFC 3986 section 3.3; whatever else a target may hold, the parser is to judge.
ENVOY_REQUEST_LINE = re.compile(
    rf"({'|'.join(METHODS)}) {envoy.PATH_PREFIX}(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)"
    r" HTTP/1\.([01])\r\n".encode()
)
_WITH_QUERY = re.compile(
    rf"([A-Z]+ {ingress_nginx.AUTH_PATH})\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*( HTTP/1\.[01])".encode()
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterProfile:
    """`reported_name` is the name that the adapter gives to the requests it reads; `forwarded`
    that the facts are in the `X-Forwarded-*` family; `is_cacheable` that what it answers to an
    allowed request does not depend on the request; `is_challenge_phase` that it asks again about
    what was refused."""

    adapter: Adapter
    name: str
    reported_name: str
    attributes: frozenset[RequestAttribute]
    forwarded: bool
    is_cacheable: bool
    is_challenge_phase: bool


class RequestLine(NamedTuple):
    """A request line; `is_http11` than HTTP/1.0."""

    profile: AdapterProfile
    method: str
    is_http11: bool


class AdapterProfiles:
    """`envoy` by method and minor version, for Envoy's request lines say the target too."""

    __slots__ = ("envoy", "request_lines")

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        dialects = {path: _profile(adapter) for path, adapter in adapters.items()}
        below = dialects.pop(f"{envoy.PATH_PREFIX}/", None)
        self.envoy: dict[tuple[bytes, bytes], RequestLine] = {}
        self.request_lines: dict[bytes, RequestLine] = {}
        for method in METHODS:
            for minor in (b"0", b"1"):
                if below is not None:
                    start = RequestLine(below, method, minor == b"1")
                    self.envoy[method.encode(), minor] = start
                for path, dialect in dialects.items():
                    line = f"{method} {path} HTTP/1.".encode() + minor
                    self.request_lines[line] = RequestLine(dialect, method, minor == b"1")

    def start(self, line: bytes) -> RequestLine | None:
        """Of a request line as it came: the controller's questions have a query, which its adapter
        reads."""
        queried = _WITH_QUERY.fullmatch(line)
        return self.request_lines.get(line if queried is None else b"".join(queried.groups()))


def _profile(adapter: Adapter) -> AdapterProfile:
    return AdapterProfile(
        adapter=adapter,
        name=adapter.name,
        reported_name="nginx" if isinstance(adapter, NginxChallenge) else adapter.name,
        attributes=adapter.attributes,
        forwarded=isinstance(adapter, Nginx | NginxChallenge | ForwardAuth),
        is_cacheable=not isinstance(adapter, NginxChallenge),
        is_challenge_phase=isinstance(adapter, NginxChallenge),
    )
