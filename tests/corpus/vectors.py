"""A vector of `bypass_vectors.json` as a value. Whatever in one cannot be understood raises
`UnsupportedVector`, so that a vector nobody judged never passes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from tests.adapters.requests import ingress_nginx_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VECTOR_CLASSES = frozenset(
    {"header-spoof", "path-normalisation", "host-confusion", "method-override", "client-contract"}
    | {"csrf", "cookie-tamper", "session-fixation", "replay", "jwt-alg", "open-redirect"}
    | {"identity", "backchannel-logout", "info-leak", "cache-confusion"}
)
"""Those that are judged here; outages and resources are tested with what they are outages of."""

Decision = Literal["allow", "deny", "either"]
Headers = tuple[tuple[str, str], ...]

_KEYS = {"id", "class", "description", "request", "expect", "peer", "raw", "repeat", "refs"} | {
    "setup",
    "sequence",
}
_REQUEST_KEYS = {"method", "path", "headers", "body", "encoding", "http_version", "repeat"} | {
    "parallel",
    "parallel_with",
}
_EXPECT_KEYS = {"decision", "status", "assert"}
_PLACEHOLDER = re.compile(r"\{([A-Z][A-Z_]*)(?::([^{}]*))?\}")


class UnsupportedVector(AssertionError):
    """The runner has to learn something before this vector says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """`is_parallel`: repetitions are not one after the other. `concurrent_with` is sent at the
    same time."""

    id: str
    kind: str
    description: str
    method: str
    path: str
    headers: Headers
    body: str
    encoding: str
    http_version: str
    repeat: int
    is_parallel: bool
    concurrent_with: str
    setup: str
    sequence: str
    from_trusted_peer: bool
    decision: Decision
    status: frozenset[int]
    assertion: str

    @property
    def adapter(self) -> str | None:
        """The check endpoint that is asked; None for a page."""
        found = re.match(r"/auth/(nginx/challenge|[a-z-]+)", self.path)
        return found[1] if found else None

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key.lower() == name)


def parse_vector(document: Mapping[str, Any]) -> Vector:
    request, expect = document["request"], document["expect"]
    for given, known in ((document, _KEYS), (request, _REQUEST_KEYS), (expect, _EXPECT_KEYS)):
        if unknown := given.keys() - known:
            raise UnsupportedVector(f"unknown keys {sorted(unknown)}")
    if document.get("peer", "trusted") not in {"trusted", "untrusted"}:
        raise UnsupportedVector(f"unknown peer `{document['peer']}`")
    if expect["decision"] not in {"allow", "deny", "either"}:
        raise UnsupportedVector(f"unknown decision `{expect['decision']}`")
    return Vector(
        id=document["id"],
        kind=document["class"],
        description=document["description"],
        method=request["method"],
        path=_check_path(request["path"], request["headers"]),
        headers=tuple((name, value) for name, value in request["headers"]),
        body=request.get("body") or "",
        encoding=request.get("encoding", "utf-8"),
        http_version=request.get("http_version", "1.1"),
        repeat=max(int(each.get("repeat", 1)) for each in (document, request))
        if "parallel" not in request
        else int(request["parallel"]),
        is_parallel="parallel" in request or "parallel" in document["description"],
        concurrent_with=request.get("parallel_with", ""),
        setup=document.get("setup", ""),
        sequence=document.get("sequence", ""),
        from_trusted_peer=document.get("peer", "trusted") == "trusted",
        decision=expect["decision"],
        status=frozenset(expect["status"]),
        assertion=expect["assert"],
    )


def _check_path(path: str, headers: list[list[str]]) -> str:
    """Vectors give what a client can influence. The controller's own words, which stand in the
    address of its question, are those that fit."""
    if path != "/auth/ingress-nginx":
        return path
    urls = [value for name, value in headers if name.lower() == "x-original-url"]
    host = urlsplit(urls[0]).netloc if urls else ""
    upgrades = [value for name, value in headers if name.lower() == "upgrade"]
    return ingress_nginx_target(host, upgrade=", ".join(upgrades))


def fill_placeholders(text: str, values: Mapping[str, Callable[[str | None], str]]) -> str:
    """`text` with every placeholder replaced by what `values` make of its argument."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise UnsupportedVector(f"unknown placeholder `{match[0]}`")
        return values[match[1]](match[2])

    result = _PLACEHOLDER.sub(value, text)
    if left := re.search(r"\{[A-Z_]{3,}", result):
        raise UnsupportedVector(f"unknown placeholder `{left[0]}`")
    return result


def placeholder_arguments(text: str, name: str) -> tuple[str, ...]:
    """The arguments with which a placeholder occurs; empty for none."""
    return tuple(found[2] or "" for found in _PLACEHOLDER.finditer(text) if found[1] == name)


def without_argument(make: Callable[[], str]) -> Callable[[str | None], str]:
    """A placeholder without an argument."""

    def value(argument: str | None) -> str:
        if argument is not None:
            raise UnsupportedVector(f"unexpected argument `{argument}`")
        return make()

    return value


def repeat_text(argument: str | None) -> str:
    piece, _, count = (argument or "").rpartition(":")
    if not piece or not count.isdecimal():
        raise UnsupportedVector(f"unknown repetition `{argument}`")
    return piece * int(count)
