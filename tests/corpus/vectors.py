"""A vector of `bypass_vectors.json` as a value. Whatever in one cannot be understood raises
`Uninterpretable`, so that a vector nobody judged never passes."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CLASSES = frozenset(
    {"header-spoof", "path-normalisation", "host-confusion", "method-override", "client-contract"}
)
"""Those whose subject is implemented; the others come with theirs."""

Decision = Literal["allow", "deny", "either"]
Headers = tuple[tuple[str, str], ...]

_KEYS = {"id", "class", "description", "request", "expect", "peer", "raw", "repeat", "refs"}
_REQUEST_KEYS = {"method", "path", "headers", "body", "encoding", "http_version", "repeat"}
_EXPECT_KEYS = {"decision", "status", "assert"}
_PLACEHOLDER = re.compile(r"\{([A-Z][A-Z_]*)(?::([^{}]*))?\}")


class Uninterpretable(AssertionError):
    """The runner has to learn something before this vector says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    id: str
    method: str
    path: str
    headers: Headers
    body: str
    encoding: str
    http_version: str
    repeat: int
    trusted: bool
    decision: Decision
    status: frozenset[int]
    meaning: str

    @property
    def adapter(self) -> str | None:
        """The check endpoint that is asked; None for a page."""
        found = re.match(r"/auth/(nginx/challenge|[a-z-]+)", self.path)
        return found[1] if found else None

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key.lower() == name)


def parse(document: Mapping[str, Any]) -> Vector:
    request, expect = document["request"], document["expect"]
    for given, known in ((document, _KEYS), (request, _REQUEST_KEYS), (expect, _EXPECT_KEYS)):
        if unknown := given.keys() - known:
            raise Uninterpretable(f"unknown keys {sorted(unknown)}")
    if document.get("peer", "trusted") not in {"trusted", "untrusted"}:
        raise Uninterpretable(f"unknown peer `{document['peer']}`")
    if expect["decision"] not in {"allow", "deny", "either"}:
        raise Uninterpretable(f"unknown decision `{expect['decision']}`")
    return Vector(
        id=document["id"],
        method=request["method"],
        path=request["path"],
        headers=tuple((name, value) for name, value in request["headers"]),
        body=request.get("body") or "",
        encoding=request.get("encoding", "utf-8"),
        http_version=request.get("http_version", "1.1"),
        repeat=max(document.get("repeat", 1), request.get("repeat", 1)),
        trusted=document.get("peer", "trusted") == "trusted",
        decision=expect["decision"],
        status=frozenset(expect["status"]),
        meaning=expect["assert"],
    )


def filled(text: str, *, cookie: str, session: Callable[[str], str]) -> str:
    """`text` with every placeholder replaced. `session` gives the cookie value for a person or a
    state; tokens are well-formed, of nobody's making: no bearer opens anything here."""

    plain = {
        "COOKIE": lambda: cookie,
        "COOKIE_BASE": lambda: re.sub(r"^__(Host|Secure)-", "", cookie),
        "RANDOM_SESSION_ID": lambda: secrets.token_urlsafe(32),
    }
    about: dict[str, Callable[[str], str]] = {
        "SESSION": session,
        "REPEAT": _repeated,
        "BASIC": lambda pair: base64.b64encode(pair.encode()).decode(),
        "JWT": lambda _: ".".join((_part({"alg": "RS256"}), _part({"sub": "alice"}), "c2ln")),
        "OPAQUE": lambda _: secrets.token_urlsafe(24),
    }

    def value(match: re.Match[str]) -> str:
        name, argument = match[1], match[2]
        if argument is None and name in plain:
            return plain[name]()
        if argument is not None and name in about:
            return about[name](argument)
        raise Uninterpretable(f"unknown placeholder `{match[0]}`")

    result = _PLACEHOLDER.sub(value, text)
    if left := re.search(r"\{[A-Z_]{3,}", result):
        raise Uninterpretable(f"unknown placeholder `{left[0]}`")
    return result


def _repeated(argument: str) -> str:
    piece, _, count = argument.rpartition(":")
    if not piece or not count.isdecimal():
        raise Uninterpretable(f"unknown repetition `{argument}`")
    return piece * int(count)


def _part(document: Mapping[str, str]) -> str:
    return base64.urlsafe_b64encode(str(document).replace("'", '"').encode()).rstrip(b"=").decode()
