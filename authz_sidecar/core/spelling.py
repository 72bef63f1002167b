"""URLs as people write them, spelled as browsers send them."""

from __future__ import annotations

import re
from urllib.parse import quote

from authz_sidecar.core.urls import MalformedUrl

# IDNA 2003 and 2008 disagree about these; whoever means them says so in A-labels.
_DISPUTED = frozenset("ßς\u200c\u200d")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def ascii_host(host: str) -> str:
    """In A-labels (RFC 5890 section 2.3.2.1). Raises `MalformedUrl` for what is none, or several."""
    if host.isascii():
        return host
    if _DISPUTED & set(host):
        raise MalformedUrl(f"`{host}` has two spellings in DNS: write its `xn--` form")
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise MalformedUrl(f"`{host}` is not a host name") from None


def ascii_url(text: str) -> str:
    """Host in A-labels, everything behind it in escaped UTF-8; ASCII stays what it is."""
    scheme, separator, rest = text.partition("://")
    if not separator or text.isascii():
        return text
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    behind = _BEYOND_ASCII.sub(lambda found: quote(found.group()), rest[cut:])
    return f"{scheme}://{ascii_host(rest[:cut])}{behind}"
