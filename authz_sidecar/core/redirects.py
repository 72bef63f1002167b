"""Where a sign-in may send the browser: a path of this host, or a URL of an origin we protect.

Decides by a strict grammar of its own and rebuilds what it accepts from the parsed parts, because
browsers repair what `urllib.parse` splits differently. Must not know of cookies, state or routes
beyond the one question "is this origin ours?".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from authz_sidecar.core.urls import MalformedUrl, Origin, check_visible_ascii, parse_url
from authz_sidecar.errors import BadReturnAddress

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_KEPT = 2048
"""Bytes of a return address that are kept whole: with it an attempt still fits its cookie."""

LONGEST_READ = 16_384
"""More than any browser or proxy carries in a request line; nothing is parsed beyond it."""

_DOT_SEGMENT = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]|^/ ")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnAddress:
    """`url` is absolute and safe to put in a Location header. `shortened` says that its query was
    dropped because the whole would not fit."""

    origin: Origin
    target: str
    shortened: bool = False

    @property
    def url(self) -> str:
        return f"{self.origin}{self.target}"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnAddresses:
    """`knows` says whether an origin is one of ours: a configured route's, or the central host's.

    `base_path` is the prefix of our own routes. To return there would sign out, loop or consume
    somebody's ticket, so the host's default page takes its place; but for two pages that only show
    something: who you are, and what a command-line tool asks for.
    """

    knows: Callable[[Origin], bool]
    base_path: str

    def check(self, raw: str, *, on: Origin) -> str:
        """The absolute URL to return to; raises `BadReturnAddress`."""
        return self.parse(raw, on=on).url

    def parse(self, raw: str, *, on: Origin) -> ReturnAddress:
        if len(raw) > LONGEST_READ:
            raise BadReturnAddress(f"return address of {len(raw)} bytes")
        try:
            check_visible_ascii(raw)
            origin, target = (on, _own_path(raw)) if raw[:1] == "/" else parse_url(raw)
        except MalformedUrl as error:
            raise BadReturnAddress(f"return address: {error}") from error
        if not self.knows(origin):
            raise BadReturnAddress(f"return address on `{origin}`, which no route protects")
        return fitting(origin, self._not_ours(target))

    def default(self, origin: Origin) -> str:
        return f"{origin}/"

    def _not_ours(self, target: str) -> str:
        path = target.partition("?")[0]
        if path == f"{self.base_path}/":
            return path
        if path == f"{self.base_path}/api/login":
            return target
        plain = _plainest(path)
        return "/" if plain == self.base_path or plain.startswith(f"{self.base_path}/") else target


def _own_path(raw: str) -> str:
    """A path as the whole address. Stricter than in a URL: here the host is not written down, so
    nothing may stand that any parser could take for one (`//`, dot segments, an encoded slash in
    their company)."""
    path = raw.partition("?")[0]
    decoded = unquote(path, encoding="latin-1")
    for reading in (path, decoded, unquote(decoded, encoding="latin-1")):
        if "//" in reading or "\\" in reading or _DOT_SEGMENT.search(reading):
            raise MalformedUrl(f"`{path[:100]}` is not a plain path")
        if _CONTROL.search(reading):
            raise MalformedUrl(f"`{path[:100]}` hides a control byte")
    if _BAD_ESCAPE.search(path):
        raise MalformedUrl(f"`{path[:100]}` has a bad escape")
    return raw


def _plainest(path: str) -> str:
    """How the most generous router would read a path: decoded twice, parameters and empty segments
    dropped, dot segments resolved. Only ever used to recognise our own prefix."""
    kept: list[str] = []
    for segment in unquote(unquote(path)).replace("\\", "/").split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del kept[-1:]
        elif name not in {"", "."}:
            kept.append(name)
    return "/" + "/".join(kept)


def fitting(origin: Origin, target: str) -> ReturnAddress:
    """The address whole if it can be kept, else its path, else the host's default page."""
    # A quotation mark takes two bytes where attempts are stored (JSON).
    if len(str(origin)) + len(target) + target.count('"') <= LONGEST_KEPT:
        return ReturnAddress(origin=origin, target=target)
    path = target.partition("?")[0]
    fits = len(str(origin)) + len(path) + path.count('"') <= LONGEST_KEPT
    return ReturnAddress(origin=origin, target=path if fits else "/", shortened=True)
