"""Parsers for the values of a configuration: durations, listen addresses, names, paths.

Each function takes text and returns a value or raises `ValueError` with a message for the operator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_origin, parse_url

Network = IPv4Network | IPv6Network

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = r"(?:\d{1,9}(?:\.\d{1,6})?(?:ms|[dhms]))"
_DURATION = re.compile(rf"{_PART}+")
_DURATION_PART = re.compile(r"([\d.]+)(ms|[dhms])")
# Ten years: longer than any key, certificate or browser's cookie lives (Chromium caps at 400 days).
_MAX_DURATION = 3650 * 86400.0

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_TENANT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A subset of RFC 9110 5.6.2: what some proxies drop and others fold into `-` is left out.
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_SEGMENT = r"/[A-Za-z0-9._~-]+"
_BASE_PATH = re.compile(rf"(?:{_SEGMENT}){{1,8}}")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


def parse_duration(text: str) -> float:
    """Return the seconds in `14h`, `1h30m` or `500ms`. Raises `ValueError`."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"`{text}` is not a duration such as `14h`, `1h30m`, `30s` or `500ms`")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > _MAX_DURATION:
        raise ValueError(f"`{text}` is longer than ten years")
    return round(seconds, 3)


def format_duration(seconds: float) -> str:
    """Return the shortest notation of a duration in seconds, for messages and the reference."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit, length in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ):
        count, milliseconds = divmod(milliseconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP address to listen on. `host` is an IP address without brackets, or `localhost`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket to listen on, with its absolute path."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def is_loopback(self) -> bool:
        """True: only this machine can connect."""
        return True


ListenAddress = TcpAddress | UnixAddress

# sockaddr_un.sun_path, less its final NUL; 104 on the BSDs, but they refuse by themselves.
_MAX_UNIX_PATH = 107


def parse_listen_address(text: str) -> ListenAddress:
    """Return the address in `127.0.0.1:9180`, `[::1]:9180`, `localhost:9180` or `unix:/run/x.sock`;
    with port 0 the system chooses one. Raises `ValueError`."""
    if text.startswith("unix:"):
        return _parse_unix_address(text)
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ValueError(
            f"`{text}` is not a listen address such as `127.0.0.1:9180` or `unix:/run/authz.sock`"
        )
    if not host:
        raise ValueError(
            f"`{text}` has no address; to listen on all of them, write `0.0.0.0{text}`"
        )
    if host == "localhost":
        return TcpAddress(host, int(port))
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f"`{host}` is not an IP address to listen on") from None
    if bracketed != isinstance(address, IPv6Address):
        raise ValueError(f"write an IPv6 listen address in brackets, such as `[{address}]:{port}`")
    return TcpAddress(str(address), int(port))


def _parse_unix_address(text: str) -> UnixAddress:
    path = text.removeprefix("unix:")
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"`{text}` is not `unix:` and an absolute path")
    if len(path.encode()) > _MAX_UNIX_PATH:
        raise ValueError(
            f"`{path}` is longer than the {_MAX_UNIX_PATH} bytes a socket's path may have"
        )
    return UnixAddress(path)


def parse_exact_network(text: str) -> Network:
    """Return the IP network in `10.0.0.0/8`, without host bits. Raises `ValueError`."""
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(
                f"`{text}` has host bits set, write `{ip_network(text, strict=False)}`"
            ) from None
        raise ValueError(f"`{text}` is not a network such as `10.0.0.0/8` or `::1/128`") from None


def parse_origin_text(text: str) -> Origin:
    """Return the origin in `https://app.example.com`. Raises `ValueError`."""
    try:
        return parse_origin(text)
    except MalformedUrl as error:
        hint = ", without a path" if text.count("/") > 2 else ""
        raise ValueError(f"{error}{hint}") from None


def parse_issuer(text: str) -> str:
    """Return the issuer unchanged, as OpenID Connect Discovery 4.3 compares issuers as plain
    strings. Raises `ValueError` for a URL with a query, or `http` off loopback."""
    parsed, target = parse_url(text)
    if "?" in target:
        raise ValueError(f"`{text}` must not have a query")
    if parsed.scheme == "http" and not parsed.is_loopback:
        raise ValueError(
            f"`{text}` must be https (http is allowed on loopback names such as localhost)"
        )
    return text


def parse_tenant_id(text: str) -> str:
    """Return a tenant id (a GUID) in lower case, as tokens have it. Raises `ValueError`."""
    if not _TENANT_ID.fullmatch(text.lower()):
        raise ValueError(f"`{text}` is not a tenant id (a GUID)")
    return text.lower()


def parse_name(text: str) -> str:
    """Return a name of lower-case letters, digits, `-` and `_`. Raises `ValueError`."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"`{text}` is not a name of lower-case letters, digits, `-` and `_`")
    return text


def parse_header_name(text: str) -> str:
    """Return a header name of letters, digits and `-`. Raises `ValueError`."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(f"`{text}` is not a header name of letters, digits and `-`")
    return text


def parse_cookie_name(text: str) -> str:
    """Return a short cookie name without `-`, which separates it from a provider's name. Raises
    `ValueError`."""
    if not _COOKIE_NAME.fullmatch(text):
        raise ValueError(f"`{text}` is not a cookie name of up to 40 letters, digits and `_`")
    return text


def parse_cookie_domain(text: str) -> str:
    """Return a domain of at least two labels, without a leading dot. Raises `ValueError`."""
    try:
        origin = parse_origin(f"https://{text.removeprefix('.')}")
    except MalformedUrl:
        raise ValueError(f"`{text}` is not a domain such as `example.com`") from None
    if (
        origin.port is not None
        or "." not in origin.host
        or re.fullmatch(r"[\d.]+|\[.*", origin.host)
    ):
        raise ValueError(f"`{text}` is not a domain such as `example.com`")
    return origin.host


def parse_base_path(text: str) -> str:
    """Return an absolute path of plain segments such as `/.auth`. Raises `ValueError`."""
    if not _BASE_PATH.fullmatch(text) or re.search(r"/\.{1,2}(/|$)", text):
        raise ValueError(
            f"`{text}` is not a path such as `/.auth`: it begins with a slash, does not end with one"
            " and has only letters, digits, `.`, `_`, `~` and `-`"
        )
    return text


def looks_like_private_key(text: str) -> bool:
    """Whether the text looks like a private key in PEM; whether it is one, its parser decides."""
    return "-----BEGIN" in text and "PRIVATE KEY-----" in text
