"""Header blocks: all of a subrequest but what changes every time, which is the target and Envoy's
request id.

Decides whether the lines of a head are plain, with each of the proxy's attributes exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.fastpath.header_lines import HeaderLineCache, Role

if TYPE_CHECKING:
    from authz_sidecar.adapters.trusted_peers import NetworkSet
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.types import Address, CheckRequest, Headers
    from authz_sidecar.fastpath.adapters import AdapterProfile, RequestLine
    from authz_sidecar.fastpath.header_lines import HeaderLine
    from authz_sidecar.fastpath.response_cache import CachedResponse
    from authz_sidecar.fastpath.route_cache import HostCache, HostEntry

MAX_LINES = 64
MAX_RESPONSES = 16
"""Per block: a browser loads a page and its resources with much the same lines."""
_MAX_PATH_BYTES = 512


class HeaderBlock:
    """A parsed header block.

    - `headers`: the client's own headers.
    - `cookie`: the one `Cookie` line.
    - `bodiless`: whether the response must have no body.
    - `keep_alive`: whether the connection stays open.
    - `responses`: the responses to allowed requests, by path.
    """

    __slots__ = (
        "_tokens",
        "bodiless",
        "client",
        "cookie",
        "headers",
        "host",
        "keep_alive",
        "method",
        "profile",
        "responses",
    )

    def __init__(
        self,
        request_line: RequestLine,
        *,
        method: str,
        host: HostEntry,
        client: Address | None,
        headers: Headers,
        cookie: str | None,
        keep_alive: bool,
    ) -> None:
        self.profile: AdapterProfile = request_line.profile
        self.method = method
        self.host = host
        self.client = client
        self.headers = headers
        self.cookie = cookie
        self.bodiless = request_line.method == "HEAD"
        self.keep_alive = request_line.is_http11 and keep_alive
        self.responses: dict[bytes, CachedResponse] = {}
        self._tokens: dict[str, str | None] = {}

    def token(self, provider: str) -> str | None:
        """Return the session token for `provider` in the cookies; None without one."""
        if provider not in self._tokens:
            lines = () if self.cookie is None else (self.cookie,)
            self._tokens[provider] = self.host.token(lines, provider)
        return self._tokens[provider]

    def cache(self, path: bytes, response: CachedResponse) -> None:
        """Keep the response for a path, unless the path is too long."""
        if len(path) > _MAX_PATH_BYTES:
            return
        if len(self.responses) >= MAX_RESPONSES:
            self.responses.clear()
        self.responses[path] = response


class HeaderBlockParser:
    """Parses header blocks."""

    __slots__ = ("_cached_lines", "_hosts", "_parse_line")

    def __init__(
        self, *, hosts: HostCache, names: ProtectedNames, trusted_hops: NetworkSet
    ) -> None:
        self._hosts = hosts
        lines = HeaderLineCache(names=names, trusted_hops=trusted_hops)
        self._cached_lines, self._parse_line = lines.parsed, lines.parse

    def parse(self, request_line: RequestLine, lines: list[bytes]) -> HeaderBlock | None:
        """Return the block of the lines after the request line; None when they are not plain.

        The lines include neither the target nor anything else that changes every time.
        """
        parsed = self._parse_lines(lines)
        if parsed is None:
            return None
        by_role, headers = parsed
        is_envoy = not request_line.profile.forwarded
        host = by_role[Role.HOST if is_envoy else Role.FORWARDED_HOST]
        proto, method_line = by_role[Role.PROTO], by_role[Role.METHOD]
        if proto is None or host is None or by_role[Role.HOST] is None:
            return None
        if not is_envoy and (method_line is None or by_role[Role.URI] is not None):
            return None
        host_entry = self._hosts.find(proto[2], host[2])
        if host_entry is None:
            return None
        method = request_line.method if is_envoy or method_line is None else method_line[2]
        return _build_block(request_line, by_role, headers, method=method, host=host_entry)

    def headers(self, lines: list[bytes], *, unstable_prefix: bytes | None) -> Headers:
        """Return the client's own headers among lines that form a known block.

        The line that begins with `unstable_prefix` never repeats, and is not cached.
        """
        own: list[tuple[str, str]] = []
        for raw_line in lines:
            if unstable_prefix is not None and raw_line.startswith(unstable_prefix):
                name, _, value = raw_line.decode().partition(": ")
                own.append((name, value))
            elif (line := self._cached_lines.get(raw_line) or self._parse_line(raw_line)) and line[
                1
            ] is not None:
                own.append(line[1])
        return tuple(own)

    def parse_with_adapter(
        self, request_line: RequestLine, head: bytes
    ) -> tuple[HeaderBlock, CheckRequest] | None:
        """Parse a whole head with the adapter, when its attributes are in other lines; None when it
        is not plain."""
        first, *raw_lines = head[:-4].split(b"\r\n")
        parsed = self._parse_lines(raw_lines)
        if parsed is None or parsed[0][Role.HOST] is None:
            return None
        line, *lines = (raw_line.decode() for raw_line in (first, *raw_lines))
        pairs = (header_line.partition(": ") for header_line in lines)
        subrequest = SubRequest(
            method=request_line.method,
            target=line.split(" ")[1],
            headers=tuple((name.lower(), value) for name, _, value in pairs),
            peer=None,
        )
        try:
            request = request_line.profile.adapter.parse(subrequest)
        except BadProxyRequest:
            return None
        if request.websocket or request.unsupported_upgrade:
            return None
        host_entry = self._hosts.for_origin(request.origin)
        by_role, headers = parsed
        block = _build_block(request_line, by_role, headers, method=request.method, host=host_entry)
        return block, request

    def _parse_lines(
        self, lines: list[bytes]
    ) -> tuple[list[HeaderLine | None], list[tuple[str, str]]] | None:
        """Return the lines by role, and the client's own headers; None when the lines are not
        plain."""
        if len(lines) > MAX_LINES:
            return None
        by_role: list[HeaderLine | None] = [None] * len(Role)
        own: list[tuple[str, str]] = []
        cached, parse = self._cached_lines, self._parse_line
        for raw_line in lines:
            line = cached.get(raw_line) or parse(raw_line)
            if line is None:
                return None
            role, pair, _ = line
            if pair is not None:
                own.append(pair)
            if role > Role.PROXY:
                if by_role[role] is not None:
                    return None
                by_role[role] = line
        # Credentials in `Authorization` are left to the authorizer.
        return (by_role, own) if by_role[Role.AUTHORIZATION] is None else None


def _build_block(
    request_line: RequestLine,
    by_role: list[HeaderLine | None],
    headers: list[tuple[str, str]],
    *,
    method: str,
    host: HostEntry,
) -> HeaderBlock:
    client, cookie = by_role[Role.CLIENT_ADDRESS], by_role[Role.COOKIE]
    connection = by_role[Role.CONNECTION]
    return HeaderBlock(
        request_line,
        method=method,
        host=host,
        client=None if client is None else client[2],
        headers=tuple(headers),
        cookie=None if cookie is None else cookie[2],
        keep_alive=connection is None or connection[2] is True,
    )
