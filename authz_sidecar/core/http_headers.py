"""Encodes values for the headers we send: visible ASCII, each name once, never empty.

Values from a provider may be anything. Everything outside visible ASCII, and `%` itself, is
percent-encoded as UTF-8 (RFC 3986 section 2.1); in lists a comma inside an element as well, so that
a comma always separates. The `decode` function of any URL library restores the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNSAFE = re.compile(r"[^\x20-\x24\x26-\x7e]+")
_UNSAFE_ELEMENT = re.compile(r"[^\x20-\x24\x26-\x2b\x2d-\x7e]+")
_LEADING_OR_TRAILING_SPACES = re.compile(r"^ +| +$")
_MAX_HYPHENS = 4  # beyond it the mixes outgrow the header that lists them


def encode_field_value(text: str) -> str:
    """Returns `text` as one header value; empty only if `text` is."""
    return (
        text
        if _needs_no_encoding(text)
        else _LEADING_OR_TRAILING_SPACES.sub(_percent_encode, _UNSAFE.sub(_percent_encode, text))
    )


def encode_list_value(elements: Iterable[str]) -> str:
    """Returns the elements joined by commas; empty elements are left out."""
    return ",".join([_encode_element(element) for element in elements if element])


def _encode_element(text: str) -> str:
    if _needs_no_encoding(text) and "," not in text:
        return text
    return _LEADING_OR_TRAILING_SPACES.sub(
        _percent_encode, _UNSAFE_ELEMENT.sub(_percent_encode, text)
    )


def _needs_no_encoding(text: str) -> bool:
    """Most values; two searches for unsafe characters would take several times as long."""
    return text.isascii() and text.isprintable() and "%" not in text and text.strip(" ") == text


def _percent_encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace"))


@lru_cache(maxsize=256)
def header_name_aliases(name: str) -> tuple[str, ...]:
    """Returns the other spellings that CGI, WSGI and PHP servers map to the same variable: every
    mix of hyphens and underscores (RFC 3875 section 4.1.18), and dots."""
    lower = name.lower()
    words = lower.split("-")
    if len(words) - 1 > _MAX_HYPHENS:
        mixed = [lower.replace("-", "_")]
    else:
        mixed = [
            "".join(part for pair in zip(words, (*separators, ""), strict=True) for part in pair)
            for separators in product("_-", repeat=len(words) - 1)
        ]
    candidates = dict.fromkeys((*mixed, lower.replace("-", ".")))
    return tuple(alias for alias in candidates if alias != lower)
