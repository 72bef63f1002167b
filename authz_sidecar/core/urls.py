"""Hosts, origins and request targets, each in one normal form; an input with several
interpretations is refused.

The grammar is our own on purpose: `urllib.parse` repairs what must be refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 1123 section 2.1: letters, digits and inner hyphens. Underscores and IDNA folding are out:
# a proxy and an application may disagree about them.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_IPV6 = re.compile(r"\[[0-9a-f:.]{2,45}\]")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class MalformedUrl(ValueError):
    """The input does not match the grammar; the message quotes it in backticks."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454). `port` is None for the scheme's default, so equal origins
    compare equal."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """`host[:port]`, as in a `Host` header."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is always this machine (RFC 6761 section 6.3, RFC 8252 section 7.3)."""
        return self.host in _LOOPBACK_NAMES or self.host.endswith(".localhost")


def parse_authority(text: str, *, scheme: str) -> Origin:
    """Parses `host[:port]`, as in a `Host` header, under a scheme.

    Letter case, one trailing dot and the default port are normalised away. Raises `MalformedUrl`
    for anything else outside the grammar (userinfo, lists, underscores, non-ASCII).
    """
    if scheme not in DEFAULT_PORTS:
        raise MalformedUrl(f"scheme `{scheme}` is neither http nor https")
    host, colon, port_text = text.rpartition(":") if _has_port(text) else (text, "", "")
    host = host.lower() if host.isascii() else host
    host = host.removesuffix(".")
    if not (_HOST.fullmatch(host) and len(host) <= 253) and not _IPV6.fullmatch(host):
        raise MalformedUrl(f"`{text}` is not a host name")
    if not colon:
        return Origin(scheme, host)
    if not _PORT.fullmatch(port_text) or (port := int(port_text)) > 65535:
        raise MalformedUrl(f"`{text}` has no valid port")
    return Origin(scheme, host, None if port == DEFAULT_PORTS[scheme] else port)


def _has_port(text: str) -> bool:
    return ":" in text.rpartition("]")[2]


def parse_origin(text: str) -> Origin:
    """Parses `scheme://host[:port]` with nothing after it, not even a trailing `/`. Raises
    `MalformedUrl`."""
    scheme, separator, authority = text.partition("://")
    if not separator:
        raise MalformedUrl(f"`{text}` is not an origin such as `https://app.example.com`")
    return parse_authority(authority, scheme=scheme)


def parse_url(text: str) -> tuple[Origin, str]:
    """Parses an absolute http(s) URL and returns `(origin, target)`; the target begins with `/`.

    Raises `MalformedUrl` for userinfo, a fragment, a backslash, white space or a byte outside
    visible ASCII.
    """
    check_visible_ascii(text)
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise MalformedUrl(f"`{text}` is not an absolute URL")
    authority_end = min(
        (index for index in (rest.find("/"), rest.find("?")) if index >= 0), default=len(rest)
    )
    target = rest[authority_end:]
    return parse_authority(rest[:authority_end], scheme=scheme), target if target[
        :1
    ] == "/" else f"/{target}"


_NOT_ALLOWED_IN_URL = re.compile(r"[^\x21-\x7e]|[\\#]")


def check_visible_ascii(text: str) -> None:
    """Raise `MalformedUrl` for white space, control bytes, non-ASCII, a backslash or a fragment."""
    if match := _NOT_ALLOWED_IN_URL.search(text):
        raise MalformedUrl(f"byte {ord(match.group()):#04x} may not stand in a URL")


# IDNA 2003 and 2008 disagree about these; such a host has to be written in A-labels.
_IDNA_DEVIATIONS = frozenset("ßς\u200c\u200d")
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")


def to_a_labels(host: str) -> str:
    """Returns the host in A-labels (RFC 5890 section 2.3.2.1).

    Raises `MalformedUrl` for a name that is not a host name or that has two spellings in DNS.
    """
    if host.isascii():
        return host
    if _IDNA_DEVIATIONS & set(host):
        raise MalformedUrl(f"`{host}` has two spellings in DNS: write its `xn--` form")
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise MalformedUrl(f"`{host}` is not a host name") from None


def iri_to_uri(text: str) -> str:
    """Returns the URL with its host in A-labels and the rest percent-encoded as UTF-8 (RFC 3987
    section 3.1); ASCII text stays as it is.

    Raises `MalformedUrl` as `to_a_labels` does.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or text.isascii():
        return text
    authority_end = min(
        (index for index in (rest.find("/"), rest.find("?")) if index >= 0), default=len(rest)
    )
    path_and_query = _NON_ASCII.sub(lambda match: quote(match.group()), rest[authority_end:])
    return f"{scheme}://{to_a_labels(rest[:authority_end])}{path_and_query}"
