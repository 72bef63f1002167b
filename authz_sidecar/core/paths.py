"""The readings of a request path: what one application or another may take it to mean.

A path is judged as raw bytes. Where servers disagree about separators, parameters, dot segments or
a second round of decoding, every meaning is named here, and whoever decides asks about all of them.
"""

from __future__ import annotations

import re
from itertools import product
from urllib.parse import unquote_to_bytes

from authz_sidecar.core.urls import MalformedUrl, check_visible_ascii

LONGEST_TARGET = 16_384
"""More than browsers send and the proxies pass on; nothing longer is parsed."""

# One meaning under every reading: plain segments, no escape, parameter, empty or dot segment.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@]+)*/?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SEPARATOR = re.compile(r"(?i)%2f|%5c")
_ESCAPED_DOT = re.compile(r"(?i)%2e")
_PARAMETER = re.compile(r"(?i)(?:;|%3b)[^/]*")
_DOUBLE = re.compile(r"(?i)%25(?=[0-9a-f]{2})")


def readings(path: str, *, ignore_case: bool = False) -> tuple[str, ...]:
    """Every reading of a raw path, itself first; still percent-encoded.

    `ignore_case` adds the lower-case spelling. Raises `MalformedUrl` for what no reading makes
    sense of: control bytes, bad escapes, bytes that are not UTF-8 (overlong forms among them).
    """
    if _PLAIN.fullmatch(path):
        return (path, lower) if ignore_case and (lower := path.lower()) != path else (path,)
    _check(path)
    found = dict.fromkeys((path, *_meanings(path)))
    if (twice := _DOUBLE.sub("%", path)) != path:
        _check_escapes(twice)
        found |= dict.fromkeys((twice, *_meanings(twice)))
    if ignore_case:
        found |= dict.fromkeys(reading.lower() for reading in tuple(found))
    return tuple(found)


def _check(path: str) -> None:
    check_visible_ascii(path)
    if not path.startswith("/"):
        raise MalformedUrl(f"`{path[:100]}` does not begin with a slash")
    if _BAD_ESCAPE.search(path):
        raise MalformedUrl(f"`{path[:100]}` has a bad escape")
    _check_escapes(path)


def _check_escapes(path: str) -> None:
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise MalformedUrl(f"`{path[:100]}` does not decode to UTF-8") from error
    if _CONTROL.search(decoded):
        raise MalformedUrl(f"`{path[:100]}` hides a control byte")


def _meanings(path: str) -> list[str]:
    """In the order in which servers apply them: separators, then parameters, then segments."""
    found = []
    for separators, parameters, segments in product((False, True), repeat=3):
        reading = _SEPARATOR.sub("/", path) if separators else path
        reading = _PARAMETER.sub("", reading) if parameters else reading
        found.append(_resolved(reading) if segments else reading)
    return found


def _resolved(path: str) -> str:
    """Empty segments merged, dot segments removed (RFC 3986 section 5.2.4); `..;x` counts as `..`."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    last = ""
    for segment in segments:
        last = _ESCAPED_DOT.sub(".", segment).partition(";")[0]
        if last == "..":
            del kept[-1:]
        elif segment and last != ".":
            kept.append(segment)
    slash = "/" if kept and (not segments[-1] or last in {".", ".."}) else ""
    return "/" + "/".join(kept) + slash
