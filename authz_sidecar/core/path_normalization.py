"""The readings of a request path: what one application or another may take it to mean.

A path is judged as raw bytes. Where servers disagree about separators, parameters, dot segments or
a second round of decoding, every meaning is named here, and whoever decides asks about all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from authz_sidecar.core.urls import MalformedUrl, check_visible_ascii

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_TARGET = 16_384
"""More than browsers send and the proxies pass on; nothing longer is parsed."""

LONGEST_AMBIGUOUS = 2048
"""Every reading costs what the path is long; real paths with several readings are short."""

# Attacks have dozens of readings; nothing that people or programs write has.
_MOST_READINGS = 64

# One meaning under every reading: plain segments, no escape, parameter, empty or dot segment.
_PLAIN = re.compile(r"(?=/)(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@]+)*/?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# RFC 3986 section 2.3, unreserved: `-`, `.`, digits, letters, `_`, `~`.
_OPEN = re.compile(r"(?i)%(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])")
_ENCODED_SLASH = re.compile(r"(?i)%2f")
_ENCODED_BACKSLASH = re.compile(r"(?i)%5c")
_ENCODED_SEMICOLON = re.compile(r"(?i)%3b")
_PARAMETER = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_ESCAPED_ESCAPE = re.compile(r"(?i)%25(?=[0-9a-f]{2})")
_KEPT_ESCAPE = re.compile(r"(?i)(%2[5f]|%5c)")


def readings(path: str, *, ignore_case: bool = False) -> tuple[str, ...]:
    """Every reading of a raw path, itself first. A `%` in them is an escape, never a character.

    `ignore_case` adds the lower-case spellings. Raises `MalformedUrl` for what no reading makes
    sense of (control bytes, bad escapes, bytes that are not UTF-8, overlong forms among them), and
    for what has too many readings to be judged under each.
    """
    if _PLAIN.fullmatch(path):
        return (path, lower) if ignore_case and (lower := path.lower()) != path else (path,)
    _check(path)
    found = dict.fromkeys(_meanings(path))
    if ignore_case:
        found |= dict.fromkeys(map(_lower, tuple(found)))
    return tuple(found)


def _check(path: str) -> None:
    check_visible_ascii(path)
    if not path.startswith("/"):
        raise MalformedUrl(f"`{path[:100]}` does not begin with a slash")
    if _BAD_ESCAPE.search(path):
        raise MalformedUrl(f"`{path[:100]}` has a bad escape")
    try:
        text = unquote_to_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise MalformedUrl(f"`{path[:100]}` does not decode to UTF-8") from error
    if _CONTROL.search(text):
        raise MalformedUrl(f"`{path[:100]}` hides a control byte")


def _meanings(path: str) -> Iterable[str]:
    """Everything that the steps lead to, in whatever order a server takes or leaves them."""
    yield path
    # The escapes of unreserved characters every comparison undoes by itself.
    ahead = [_opened(path)]
    # Some resolve the dots that are written as dots before they decode the others.
    for literal in (_resolved(path), _resolved(_merged(path))):
        if (reading := _opened(literal)) not in ahead:
            ahead.append(reading)
            yield reading
    seen = set(ahead)
    for reading in ahead:
        for step in _STEPS:
            if (further := step(reading)) not in seen:
                if len(path) > LONGEST_AMBIGUOUS:
                    raise MalformedUrl(f"`{path[:100]}` has several readings, {len(path)} bytes")
                if len(seen) == _MOST_READINGS:
                    raise MalformedUrl(f"`{path[:100]}` has more than {_MOST_READINGS} readings")
                seen.add(further)
                ahead.append(further)
                yield further


def _opened(path: str) -> str:
    return _OPEN.sub(lambda escape: chr(int(escape[1], 16)), path)


def _decoded_again(path: str) -> str:
    """`%252e` is a dot to whoever decodes twice, and nothing new where it stays undecodable."""
    twice = _ESCAPED_ESCAPE.sub("%", path)
    if _CONTROL.search(unquote_to_bytes(twice).decode(errors="replace")):
        raise MalformedUrl(f"`{path[:100]}` hides a control byte under two escapes")
    return _opened(twice)


def _slashes_decoded(path: str) -> str:
    return _ENCODED_SLASH.sub("/", path)


def _backslashes_decoded(path: str) -> str:
    return _ENCODED_BACKSLASH.sub("/", path)


def _semicolons_decoded(path: str) -> str:
    return _ENCODED_SEMICOLON.sub(";", path)


def _parameters_dropped(path: str) -> str:
    return _PARAMETER.sub("", path)


def _authority_dropped(path: str) -> str:
    """RFC 3986 section 4.2: a reference that begins with two slashes names a host first."""
    return "/" + path[2:].partition("/")[2] if path.startswith("//") else path


def _slashes_and_authority_dropped(path: str) -> str:
    """The same to whoever follows the URL Standard, where any number of slashes may come first."""
    return "/" + path.lstrip("/").partition("/")[2] if path.startswith("//") else path


def _merged(path: str) -> str:
    return _SLASHES.sub("/", path)


def _resolved(path: str) -> str:
    """RFC 3986 section 5.2.4: empty segments are kept as they are."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


_STEPS = (
    _decoded_again,
    _slashes_decoded,
    _backslashes_decoded,
    _semicolons_decoded,
    _parameters_dropped,
    _authority_dropped,
    _slashes_and_authority_dropped,
    _merged,
    _resolved,
)


def _lower(path: str) -> str:
    return "".join(
        piece.lower() if place % 2 else unquote(piece).lower()
        for place, piece in enumerate(_KEPT_ESCAPE.split(path))
    )
