"""The adapters as the fast path needs them, and the request lines of their subrequests."""

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
# RFC 3986 section 3.3; targets with any other character are left to the full parser.
ENVOY_REQUEST_LINE = re.compile(
    rf"({'|'.join(METHODS)}) {envoy.PATH_PREFIX}(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)"
    r" HTTP/1\.([01])\r\n".encode()
)
_WITH_QUERY = re.compile(
    rf"([A-Z]+ {ingress_nginx.AUTH_PATH})\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*( HTTP/1\.[01])".encode()
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterProfile:
    """What the fast path has to know about an adapter.

    - `reported_name`: the adapter name in its `CheckRequest`s.
    - `forwarded`: whether the attributes are in the `X-Forwarded-*` headers.
    - `is_cacheable`: whether its response to an allowed request does not depend on the request.
    - `is_challenge_phase`: whether its subrequest repeats one that was refused.
    """

    adapter: Adapter
    name: str
    reported_name: str
    attributes: frozenset[RequestAttribute]
    forwarded: bool
    is_cacheable: bool
    is_challenge_phase: bool


class RequestLine(NamedTuple):
    """A parsed request line; `is_http11` is False for HTTP/1.0."""

    profile: AdapterProfile
    method: str
    is_http11: bool


class AdapterProfiles:
    """The request lines of the enabled adapters.

    `request_lines` has those with a fixed target. `envoy` has Envoy's by method and minor version,
    because its target varies.
    """

    __slots__ = ("envoy", "request_lines")

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        profiles = {path: _profile(adapter) for path, adapter in adapters.items()}
        envoy_profile = profiles.pop(f"{envoy.PATH_PREFIX}/", None)
        self.envoy: dict[tuple[bytes, bytes], RequestLine] = {}
        self.request_lines: dict[bytes, RequestLine] = {}
        for method in METHODS:
            for minor in (b"0", b"1"):
                if envoy_profile is not None:
                    request_line = RequestLine(envoy_profile, method, minor == b"1")
                    self.envoy[method.encode(), minor] = request_line
                for path, profile in profiles.items():
                    line = f"{method} {path} HTTP/1.".encode() + minor
                    self.request_lines[line] = RequestLine(profile, method, minor == b"1")

    def parse_line(self, line: bytes) -> RequestLine | None:
        """Return the parsed request line; None for an unknown one.

        Subrequests of ingress-nginx have a query, which their adapter parses.
        """
        match = _WITH_QUERY.fullmatch(line)
        return self.request_lines.get(line if match is None else b"".join(match.groups()))


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
