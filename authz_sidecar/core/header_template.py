"""Templates for request headers, as Pomerium writes them: `Bearer ${pomerium.jwt}`.

Decides what is text and what is a reference. The caller decides what a reference resolves to, in a
single pass: a value that is put in is never parsed again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TemplateReference = tuple[str, ...]
"""`${pomerium.request.headers["X-Team"]}` is `("pomerium", "request", "headers", "X-Team")`."""

_NAME = r"[A-Za-z0-9_-]+"
_REFERENCE_STEP = rf'[ \t]*(?:\.[ \t]*{_NAME}|\[[ \t]*"(?:[^"\\]|\\.)*"[ \t]*\])'
_DOLLAR_EXPRESSION = re.compile(
    rf"\$(?:(?P<dollar>\$)|\{{[ \t]*(?P<long>{_NAME}(?:{_REFERENCE_STEP})*)[ \t]*\}}"
    rf"|(?P<short>(?>{_NAME}(?:\.{_NAME})*)(?!\.)))"
)
_REFERENCE_PART = re.compile(rf'(?P<name>{_NAME})|"(?P<quoted>(?:[^"\\]|\\.)*)"')
_NOT_ALLOWED_IN_HEADER = re.compile(r"[^\x20-\x7e]")

# The provider's tokens are stored apart from the session and never read for a check.
_PROVIDER_TOKENS = ("access_token", "id_token")


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """A parsed template; `parts` are its texts and references in order."""

    parts: tuple[str | TemplateReference, ...]

    @property
    def references(self) -> Iterator[TemplateReference]:
        """The references of the template, in order."""
        return (part for part in self.parts if isinstance(part, tuple))

    def render(self, resolve: Callable[[TemplateReference], str]) -> str:
        """Returns the header value, with each reference replaced by what `resolve` returns for it."""
        return "".join(part if isinstance(part, str) else resolve(part) for part in self.parts)


def parse_header_template(text: str) -> HeaderTemplate:
    """Parses a template: `$$` is a dollar sign, and a `$` that begins no reference is one too.

    Raises `ValueError` for text that a header cannot carry, and for a reference that must not be
    used.
    """
    parts: list[str | TemplateReference] = []
    end = 0
    for match in _DOLLAR_EXPRESSION.finditer(text):
        parts += [text[end : match.start()], "$" if match["dollar"] else _parse_reference(match)]
        end = match.end()
    parts.append(text[end:])
    template = HeaderTemplate(_merge_texts(parts))
    if any(
        isinstance(part, str) and _NOT_ALLOWED_IN_HEADER.search(part) for part in template.parts
    ):
        raise ValueError("has characters that a header cannot carry")
    for reference in template.references:
        _check_reference(reference)
    return template


def _parse_reference(match: re.Match[str]) -> TemplateReference:
    path = match["long"] or match["short"]
    return tuple(
        part["name"] or re.sub(r"\\(.)", r"\1", part["quoted"])
        for part in _REFERENCE_PART.finditer(path)
    )


def _merge_texts(parts: list[str | TemplateReference]) -> tuple[str | TemplateReference, ...]:
    """Neighbouring texts joined; empty ones left out."""
    merged: list[str | TemplateReference] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part:
            merged.append(part)
    return tuple(merged)


def _check_reference(reference: TemplateReference) -> None:
    match reference:
        case ("pomerium", name) if name in _PROVIDER_TOKENS:
            raise ValueError(
                f"`pomerium.{name}` is not available: the provider's tokens are not handed to"
                " applications, `pomerium.jwt` is the signed statement of who the user is"
            )
        case ("pomerium", "request", "headers", name) if name.lower() == "cookie":
            raise ValueError("the `Cookie` header holds the session, which applications never see")
