"""Templates for request headers, as Pomerium writes them: `Bearer ${pomerium.jwt}`.

Decides what is text and what is a reference; what a reference comes to is decided elsewhere, in a
single pass: what is put in is never read again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Reference = tuple[str, ...]
"""`${pomerium.request.headers["X-Team"]}` is `("pomerium", "request", "headers", "X-Team")`."""

_NAME = r"[A-Za-z0-9_-]+"
_STEP = rf'[ \t]*(?:\.[ \t]*{_NAME}|\[[ \t]*"(?:[^"\\]|\\.)*"[ \t]*\])'
_SPECIAL = re.compile(
    rf"\$(?:(?P<dollar>\$)|\{{[ \t]*(?P<long>{_NAME}(?:{_STEP})*)[ \t]*\}}"
    rf"|(?P<short>(?>{_NAME}(?:\.{_NAME})*)(?!\.)))"
)
_PART = re.compile(rf'(?P<name>{_NAME})|"(?P<quoted>(?:[^"\\]|\\.)*)"')
_UNSENDABLE = re.compile(r"[^\x20-\x7e]")

# They need the provider's tokens, which are kept apart from the session and never on this path.
_TOKENS = ("access_token", "id_token")


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """`parts` are texts and references in order."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> Iterator[Reference]:
        return (part for part in self.parts if isinstance(part, tuple))

    def render(self, look_up: Callable[[Reference], str]) -> str:
        return "".join(part if isinstance(part, str) else look_up(part) for part in self.parts)


def parse_header_template(text: str) -> HeaderTemplate:
    """`$$` is a dollar sign; a `$` that begins nothing is one too. Raises `ValueError` for text
    that no header can carry and for references that must not be used."""
    parts: list[str | Reference] = []
    end = 0
    for found in _SPECIAL.finditer(text):
        parts += [text[end : found.start()], "$" if found["dollar"] else _reference(found)]
        end = found.end()
    parts.append(text[end:])
    template = HeaderTemplate(_joined(parts))
    if any(isinstance(part, str) and _UNSENDABLE.search(part) for part in template.parts):
        raise ValueError("has characters that a header cannot carry")
    for reference in template.references:
        _check(reference)
    return template


def _reference(found: re.Match[str]) -> Reference:
    path = found["long"] or found["short"]
    return tuple(
        part["name"] or re.sub(r"\\(.)", r"\1", part["quoted"]) for part in _PART.finditer(path)
    )


def _joined(parts: list[str | Reference]) -> tuple[str | Reference, ...]:
    """Neighbouring texts as one, and none empty."""
    joined: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


def _check(reference: Reference) -> None:
    match reference:
        case ("pomerium", name) if name in _TOKENS:
            raise ValueError(
                f"`pomerium.{name}` is not available: the provider's tokens are not handed to"
                " applications, `pomerium.jwt` is the signed statement of who the user is"
            )
        case ("pomerium", "request", "headers", name) if name.lower() == "cookie":
            raise ValueError("the `Cookie` header holds the session, which applications never see")
