"""Host resolution: which configured origin a browser's request is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_authority
from authz_sidecar.errors import BadProxyRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResolver:
    """Resolves the Host header to a configured origin.

    The scheme comes from the configuration. `X-Forwarded-Proto` chooses between both schemes of a
    host, and is refused when it names another one.

    `is_known`: whether an origin is configured.
    """

    is_known: Callable[[Origin], bool]

    def resolve(self, headers: Headers) -> Origin:
        """Return the origin of a request. Raises `BadProxyRequest` unless it has exactly one Host
        header, of a configured host, and the scheme agrees."""
        host = _single_value(headers, "host")
        if host is None:
            raise BadProxyRequest("a request needs exactly one Host header")
        candidates = [origin for origin in _candidate_origins(host) if self.is_known(origin)]
        if not candidates:
            raise BadProxyRequest(f"host `{host:.100}` is not configured")
        if not any(name == "x-forwarded-proto" for name, _ in headers):
            return candidates[0]
        scheme = _single_value(headers, "x-forwarded-proto")
        for origin in candidates:
            if origin.scheme == scheme:
                return origin
        raise BadProxyRequest(
            f"scheme-mismatch: `{host:.100}` is configured with {candidates[0].scheme},"
            f" the proxy says `{scheme!s:.20}`"
        )


def _candidate_origins(host: str) -> tuple[Origin, ...]:
    try:
        return tuple(parse_authority(host, scheme=scheme) for scheme in ("https", "http"))
    except MalformedUrl:
        return ()


def _single_value(headers: Headers, name: str) -> str | None:
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else None
