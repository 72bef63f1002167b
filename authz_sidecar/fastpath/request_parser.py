"""The parser from the bytes of a subrequest to the `CheckRequest`, as strict as the adapters.

Decides which subrequests are plain: one complete head and nothing after it, in lines that can be
read in one way only. Returns None for any other.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from authz_sidecar.core.caching import TwoGenerationCache
from authz_sidecar.core.types import CheckRequest
from authz_sidecar.fastpath.adapters import ENVOY_REQUEST_LINE, AdapterProfiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.core.types import Headers
    from authz_sidecar.fastpath.header_blocks import HeaderBlock, HeaderBlockParser

MAX_REQUEST_BYTES = 16 * 1024
MAX_CACHED_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES, _LINE_BYTES = 2000, 160
"""The size of a parsed block and of each of its lines, with the cached responses."""

_URI = b"\r\nX-Forwarded-Uri: "  # as most proxies write it
_AFTER_URI = len(_URI)
_REQUEST_ID = b"x-request-id: "
_PLAIN = re.compile(rb"[\x21-\x7e]+")


class ParsedCheck:
    """A parsed subrequest.

    `path` and `query` are raw: `request` may be used once `route_cache` has checked their grammar.
    `headers` is None when they are the block's own; `request` is given when the adapter parsed it.
    """

    __slots__ = ("_headers", "_request", "block", "path", "query")

    def __init__(
        self,
        block: HeaderBlock,
        target: bytes,
        headers: Headers | None = None,
        request: CheckRequest | None = None,
    ) -> None:
        self.block = block
        path, mark, query = target.partition(b"?")
        self.path = path
        self.query = query if mark else None
        self._headers = headers
        self._request = request

    @property
    def has_cached_headers(self) -> bool:
        """Whether all but the target is equal to the cached block."""
        return self._headers is None

    @property
    def request(self) -> CheckRequest:
        """The request, built on first use."""
        if self._request is None:
            block = self.block
            self._request = CheckRequest(
                adapter=block.profile.reported_name,
                method=block.method,
                origin=block.host.origin,
                path=self.path.decode(),
                query=None if self.query is None else self.query.decode(),
                client=block.client,
                headers=block.headers if self._headers is None else self._headers,
                attributes=block.profile.attributes,
                is_challenge_phase=block.profile.is_challenge_phase,
            )
        return self._request


class CheckParser:
    """Parses subrequests, and caches their header blocks."""

    __slots__ = ("_blocks", "_header_blocks", "_profiles", "_uri_offset")

    def __init__(
        self, adapters: Mapping[str, Adapter], *, header_blocks: HeaderBlockParser
    ) -> None:
        self._uri_offset = 0
        self._profiles = AdapterProfiles(adapters)
        self._header_blocks = header_blocks
        self._blocks: TwoGenerationCache[tuple[bytes, ...], HeaderBlock] = TwoGenerationCache(
            max_size=MAX_CACHED_BYTES
        )

    def cached_lookup(self, data: bytes) -> tuple[HeaderBlock | None, bytes]:
        """Return the cached block, or None, and the raw target."""
        if len(data) > MAX_REQUEST_BYTES:
            return None, b""
        # The target is mostly where it was last time. Wherever it is found, a cached block has no
        # second one.
        offset = self._uri_offset
        if data[offset : offset + _AFTER_URI] != _URI:
            offset = data.find(_URI)
            if offset < 0:
                return self._cached_envoy_lookup(data)
            self._uri_offset = offset
        begin = offset + _AFTER_URI
        end = data.find(b"\r", begin)
        return self._blocks.get((data[:offset], data[end:])), data[begin:end]

    def parse(self, data: bytes) -> ParsedCheck | None:
        """Parse a complete subrequest; None when it is not plain."""
        if len(data) > MAX_REQUEST_BYTES or data[-4:] != b"\r\n\r\n":
            return None
        offset = data.find(_URI)
        if offset >= 0:
            return self._forwarded(data, offset)
        match = ENVOY_REQUEST_LINE.match(data)
        return self._unusual_order(data) if match is None else self._envoy(data, match)

    def _forwarded(self, data: bytes, offset: int) -> ParsedCheck | None:
        begin = offset + _AFTER_URI
        end = data.find(b"\r\n", begin)
        key = data[:offset], data[end:]
        block = self._blocks.get(key)
        if block is None:
            line, *before = key[0].split(b"\r\n")
            request_line = self._profiles.request_lines.get(line)
            if request_line is None or not request_line.profile.forwarded:
                return None
            block = self._header_blocks.parse(request_line, [*before, *key[1].split(b"\r\n")[1:-2]])
            if block is None:
                return None
            self._cache(key, block)
        return ParsedCheck(block, data[begin:end])

    def _cached_envoy_lookup(self, data: bytes) -> tuple[HeaderBlock | None, bytes]:
        match = ENVOY_REQUEST_LINE.match(data)
        if match is None or data[-4:] != b"\r\n\r\n":
            return None, b""
        method, target, minor = match.groups()
        lines, identifier = _sort_envoy_lines(data[match.end() : -4])
        if identifier is not None and not _PLAIN.fullmatch(identifier):
            return None, b""
        return self._blocks.get((method, minor, b"\r\n".join(lines))), target

    def _envoy(self, data: bytes, match: re.Match[bytes]) -> ParsedCheck | None:
        method, target, minor = match.groups()
        header_bytes = data[match.end() : -4]
        lines, identifier = _sort_envoy_lines(header_bytes)
        if identifier is not None and not _PLAIN.fullmatch(identifier):
            return None
        key = method, minor, b"\r\n".join(lines)
        block = self._blocks.get(key)
        if block is None:
            request_line = self._profiles.envoy.get((method, minor))
            block = None if request_line is None else self._header_blocks.parse(request_line, lines)
            if block is None:
                return None
            self._cache(key, block)
        unstable_prefix = None if identifier is None else _REQUEST_ID
        return ParsedCheck(
            block,
            target,
            self._header_blocks.headers(
                header_bytes.split(b"\r\n"), unstable_prefix=unstable_prefix
            ),
        )

    def _unusual_order(self, data: bytes) -> ParsedCheck | None:
        request_line = self._profiles.parse_line(data.partition(b"\r\n")[0])
        if request_line is None:
            return None
        if request_line.profile.forwarded:
            offset = data.lower().find(_URI.lower())
            return None if offset < 0 else self._forwarded(data, offset)
        parsed = self._header_blocks.parse_with_adapter(request_line, data)
        if parsed is None:
            return None
        block, request = parsed
        return ParsedCheck(block, request.target.encode(), request=request)

    def _cache(self, key: tuple[bytes, ...], block: HeaderBlock) -> None:
        parsed = _BLOCK_BYTES + _LINE_BYTES * len(block.headers)
        self._blocks.put(key, block, size=2 * sum(map(len, key)) + parsed)


def _sort_envoy_lines(lines: bytes) -> tuple[list[bytes], bytes | None]:
    """Return the sorted lines without Envoy's request id, and the id.

    Envoy changes the order of its lines, and sends another id with each request.
    """
    sorted_lines = lines.split(b"\r\n")
    sorted_lines.sort()
    index = bisect_left(sorted_lines, _REQUEST_ID)
    if index < len(sorted_lines) and sorted_lines[index].startswith(_REQUEST_ID):
        return sorted_lines, sorted_lines.pop(index)[len(_REQUEST_ID) :]
    return sorted_lines, None
