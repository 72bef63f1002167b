"""Validates return URLs: where a sign-in may redirect the browser. A path of the same host, or a
URL of an origin that a route protects.

Parses by a strict grammar of its own and rebuilds what it accepts from the parsed parts, because
browsers repair what `urllib.parse` splits differently. Must not know of cookies, state or routes,
except for the one predicate `is_known_origin`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from authz_sidecar.core.urls import MalformedUrl, Origin, check_visible_ascii, parse_url
from authz_sidecar.errors import BadReturnUrl

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STORED_BYTES = 2048
"""Bytes of a return URL that are stored whole: the login transaction still fits its cookie."""

MAX_PARSED_BYTES = 16_384
"""More than any browser or proxy carries in a request line; nothing is parsed beyond it."""

_DOT_SEGMENT = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]|^/ ")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnUrl:
    """A validated return URL.

    - `target`: the path with its query.
    - `is_truncated`: the query was dropped because the whole URL is longer than `MAX_STORED_BYTES`.
    """

    origin: Origin
    target: str
    is_truncated: bool = False

    @property
    def url(self) -> str:
        """The absolute URL, safe to put in a `Location` header."""
        return f"{self.origin}{self.target}"

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnUrlValidator:
    """Validates return URLs against the origins that routes protect.

    - `is_known_origin`: whether a configured route, or the central host, has this origin.
    - `base_path`: the prefix of our own endpoints. A return to one of them would sign out, loop or
      consume a ticket, so the default page of the host replaces it. Two endpoints that only show
      something are exempt: the session page and the login page of command-line tools.
    """

    is_known_origin: Callable[[Origin], bool]
    base_path: str

    def validate(self, raw: str, *, base_origin: Origin) -> str:
        """Returns the absolute URL to return to. Raises `BadReturnUrl`."""
        return self.parse(raw, base_origin=base_origin).url

    def parse(self, raw: str, *, base_origin: Origin) -> ReturnUrl:
        """Parses a path of `base_origin`, or an absolute URL of a known origin.

        Raises `BadReturnUrl` when it is too long, malformed, or on an origin that no route
        protects.
        """
        if len(raw) > MAX_PARSED_BYTES:
            raise BadReturnUrl(f"return address of {len(raw)} bytes")
        try:
            check_visible_ascii(raw)
            origin, target = (
                (base_origin, _check_relative_path(raw)) if raw[:1] == "/" else parse_url(raw)
            )
        except MalformedUrl as error:
            raise BadReturnUrl(f"return address: {error}") from error
        if not self.is_known_origin(origin):
            raise BadReturnUrl(f"return address on `{origin}`, which no route protects")
        return truncate_to_limit(origin, self._exclude_own_routes(target))

    def _exclude_own_routes(self, target: str) -> str:
        path = target.partition("?")[0]
        if path == f"{self.base_path}/":
            return path
        if path == f"{self.base_path}/api/login":
            return target
        normalized = _normalize_leniently(path)
        return (
            "/"
            if normalized == self.base_path or normalized.startswith(f"{self.base_path}/")
            else target
        )


def _check_relative_path(raw: str) -> str:
    """Checks a path that stands for the whole URL.

    Stricter than in an absolute URL: the host is not written down here, so nothing is accepted that
    a parser could take for one (`//`, dot segments, an encoded slash beside them).
    """
    path = raw.partition("?")[0]
    decoded = unquote(path, encoding="latin-1")
    for decoding in (path, decoded, unquote(decoded, encoding="latin-1")):
        if "//" in decoding or "\\" in decoding or _DOT_SEGMENT.search(decoding):
            raise MalformedUrl(f"`{path[:100]}` is not a plain path")
        if _CONTROL.search(decoding):
            raise MalformedUrl(f"`{path[:100]}` hides a control byte")
    if _BAD_ESCAPE.search(path):
        raise MalformedUrl(f"`{path[:100]}` has a bad escape")
    return raw


def _normalize_leniently(path: str) -> str:
    """The path as the most lenient router reads it: decoded twice, parameters and empty segments
    dropped, dot segments resolved. Only used to recognise our own prefix."""
    output: list[str] = []
    for segment in unquote(unquote(path)).replace("\\", "/").split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del output[-1:]
        elif name not in {"", "."}:
            output.append(name)
    return "/" + "/".join(output)


def truncate_to_limit(origin: Origin, target: str) -> ReturnUrl:
    """Returns the whole URL if it fits in `MAX_STORED_BYTES`, else its path, else the default page
    of the host."""
    # A quotation mark takes two bytes where login transactions are stored (JSON).
    if len(str(origin)) + len(target) + target.count('"') <= MAX_STORED_BYTES:
        return ReturnUrl(origin=origin, target=target)
    path = target.partition("?")[0]
    fits = len(str(origin)) + len(path) + path.count('"') <= MAX_STORED_BYTES
    return ReturnUrl(origin=origin, target=path if fits else "/", is_truncated=True)
