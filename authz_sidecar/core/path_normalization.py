"""The interpretations of a request path: each path that some server may take it to mean.

A path is judged as raw bytes. Where servers disagree about separators, parameters, dot segments or
a second round of decoding, every interpretation is listed here, and the authorizer decides about
all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from authz_sidecar.core.urls import MalformedUrl, check_visible_ascii

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TARGET_BYTES = 16_384
"""More than browsers send and the proxies pass on; nothing longer is parsed."""

MAX_AMBIGUOUS_PATH_BYTES = 2048
"""Each interpretation costs time in proportion to the path; real paths with several are short."""

# Attacks have dozens of interpretations; paths of real applications do not.
_MAX_INTERPRETATIONS = 64

# A single interpretation: plain segments, no escape, parameter, empty or dot segment.
_UNAMBIGUOUS = re.compile(r"(?=/)(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@]+)*/?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# RFC 3986 section 2.3, unreserved: `-`, `.`, digits, letters, `_`, `~`.
_ENCODED_UNRESERVED = re.compile(r"(?i)%(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])")
_ENCODED_SLASH = re.compile(r"(?i)%2f")
_ENCODED_BACKSLASH = re.compile(r"(?i)%5c")
_ENCODED_SEMICOLON = re.compile(r"(?i)%3b")
_PARAMETER = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_DOUBLE_ESCAPE = re.compile(r"(?i)%25(?=[0-9a-f]{2})")
_RESERVED_ESCAPE = re.compile(r"(?i)(%2[5f]|%5c)")


def interpretations(path: str, *, ignore_case: bool = False) -> tuple[str, ...]:
    """Returns every interpretation of a raw path, the path itself first. A `%` in them is an
    escape, never a character.

    `ignore_case` adds the lower-case spellings. Raises `MalformedUrl` for a path that no server can
    interpret (control bytes, bad escapes, bytes that are not UTF-8, overlong forms among them), and
    for a path with too many interpretations to decide about each.
    """
    if _UNAMBIGUOUS.fullmatch(path):
        return (path, lower) if ignore_case and (lower := path.lower()) != path else (path,)
    _check_well_formed(path)
    unique_paths = dict.fromkeys(_derive_interpretations(path))
    if ignore_case:
        unique_paths |= dict.fromkeys(map(_lowercase, tuple(unique_paths)))
    return tuple(unique_paths)


def _check_well_formed(path: str) -> None:
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


def _derive_interpretations(path: str) -> Iterable[str]:
    """Every path that the transformations lead to, applied in any order and any selection."""
    yield path
    # Every comparison decodes the escapes of unreserved characters by itself.
    pending = [_decode_unreserved(path)]
    # Some servers remove literal dot segments before they decode the others.
    for dots_removed in (_remove_dot_segments(path), _remove_dot_segments(_merge_slashes(path))):
        if (current := _decode_unreserved(dots_removed)) not in pending:
            pending.append(current)
            yield current
    visited = set(pending)
    for current in pending:
        for transform in _TRANSFORMATIONS:
            if (derived := transform(current)) not in visited:
                if len(path) > MAX_AMBIGUOUS_PATH_BYTES:
                    raise MalformedUrl(f"`{path[:100]}` has several readings, {len(path)} bytes")
                if len(visited) == _MAX_INTERPRETATIONS:
                    raise MalformedUrl(
                        f"`{path[:100]}` has more than {_MAX_INTERPRETATIONS} readings"
                    )
                visited.add(derived)
                pending.append(derived)
                yield derived


def _decode_unreserved(path: str) -> str:
    return _ENCODED_UNRESERVED.sub(lambda escape: chr(int(escape[1], 16)), path)


def _double_decode(path: str) -> str:
    """`%252e` is a dot to a server that decodes twice, and nothing new where it stays undecodable."""
    decoded = _DOUBLE_ESCAPE.sub("%", path)
    if _CONTROL.search(unquote_to_bytes(decoded).decode(errors="replace")):
        raise MalformedUrl(f"`{path[:100]}` hides a control byte under two escapes")
    return _decode_unreserved(decoded)


def _decode_slashes(path: str) -> str:
    return _ENCODED_SLASH.sub("/", path)


def _decode_backslashes(path: str) -> str:
    return _ENCODED_BACKSLASH.sub("/", path)


def _decode_semicolons(path: str) -> str:
    return _ENCODED_SEMICOLON.sub(";", path)


def _remove_parameters(path: str) -> str:
    return _PARAMETER.sub("", path)


def _remove_authority(path: str) -> str:
    """RFC 3986 section 4.2: a reference that begins with two slashes names a host first."""
    return "/" + path[2:].partition("/")[2] if path.startswith("//") else path


def _remove_slashes_and_authority(path: str) -> str:
    """The same by the URL Standard, where any number of slashes may come first."""
    return "/" + path.lstrip("/").partition("/")[2] if path.startswith("//") else path


def _merge_slashes(path: str) -> str:
    return _SLASHES.sub("/", path)


def _remove_dot_segments(path: str) -> str:
    """RFC 3986 section 5.2.4: empty segments are kept as they are."""
    output: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del output[-1:]
        elif segment != ".":
            output.append(segment)
    if segments[-1] in {".", ".."}:
        output.append("")
    return "/" + "/".join(output)


_TRANSFORMATIONS = (
    _double_decode,
    _decode_slashes,
    _decode_backslashes,
    _decode_semicolons,
    _remove_parameters,
    _remove_authority,
    _remove_slashes_and_authority,
    _merge_slashes,
    _remove_dot_segments,
)


def _lowercase(path: str) -> str:
    return "".join(
        piece.lower() if index % 2 else unquote(piece).lower()
        for index, piece in enumerate(_RESERVED_ESCAPE.split(path))
    )
