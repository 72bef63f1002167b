"""Which of our hosts a request of a browser is for. Exactly one Host that we know, or none."""

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
    """The scheme is the configuration's: a header may only disagree with it, and is then refused.
    Where a host is configured under both schemes, the header has to say which one."""

    is_known: Callable[[Origin], bool]

    def resolve(self, headers: Headers) -> Origin:
        """Raises `BadProxyRequest`."""
        host = _one(headers, "host")
        if host is None:
            raise BadProxyRequest("a request needs exactly one Host header")
        known = [origin for origin in _readings(host) if self.is_known(origin)]
        if not known:
            raise BadProxyRequest(f"host `{host:.100}` is not configured")
        if not any(name == "x-forwarded-proto" for name, _ in headers):
            return known[0]
        scheme = _one(headers, "x-forwarded-proto")
        for origin in known:
            if origin.scheme == scheme:
                return origin
        raise BadProxyRequest(
            f"scheme-mismatch: `{host:.100}` is configured with {known[0].scheme},"
            f" the proxy says `{scheme!s:.20}`"
        )


def _readings(host: str) -> tuple[Origin, ...]:
    try:
        return tuple(parse_authority(host, scheme=scheme) for scheme in ("https", "http"))
    except MalformedUrl:
        return ()


def _one(headers: Headers, name: str) -> str | None:
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else None
