"""What may stand in a header we send: visible ASCII, each name once, never empty.

Values from a provider may be anything. Everything outside visible ASCII, and `%` itself, is
percent-encoded as UTF-8 (RFC 3986 section 2.1); in lists a comma inside an element as well, so
that a comma always separates. `decode` of any language's URL library restores the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110 section 5.6.2, token."""

_UNSAFE = re.compile(r"[^\x20-\x24\x26-\x7e]+")
_UNSAFE_ELEMENT = re.compile(r"[^\x20-\x24\x26-\x2b\x2d-\x7e]+")
_EDGE = re.compile(r"^ +| +$")


def field_value(text: str) -> str:
    """`text` as one header value; empty only if `text` is."""
    return _EDGE.sub(_escape, _UNSAFE.sub(_escape, text))


def list_value(elements: Iterable[str]) -> str:
    """Elements joined by commas; empty elements are left out."""
    return ",".join(
        _EDGE.sub(_escape, _UNSAFE_ELEMENT.sub(_escape, element)) for element in elements if element
    )


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace"))


def aliases(name: str) -> tuple[str, ...]:
    """Spellings that CGI, WSGI and PHP servers fold into the same variable."""
    lower = name.lower()
    return tuple(dict.fromkeys((lower.replace("-", "_"), lower.replace("-", "."))))
