"""Our cookies: their names, how they are set, and how they are read from raw header lines.

Decides which cookie belongs to which provider and origin, and which cookies an application may
see. Knows nothing of what a session is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from authz_sidecar.core.encoding import base64url_encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from authz_sidecar.core.urls import Origin

SameSite = Literal["lax", "strict"]
CookieLines = tuple[str, ...]
"""The values of all `Cookie` header lines, decoded as latin-1, in order of arrival."""

# 256 bits in base64url. Of the last character only four bits count: no second spelling.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
# RFC 6265 section 4.1.1: token and cookie-octet.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
# RFC 6265 section 5.2, step 4: browsers trim these from a name before they look at `__Host-`, and
# nothing else. Any site of the domain may set `\x85__Host-authz`; it is the name of another cookie.
_BLANK = " \t"
# What some application's server takes for white space around a name: it must not find ours there.
_WHITE_SPACE = f"{_BLANK}\r\n\v\f\x00\x85\xa0"


def generate_token(random: Callable[[int], bytes]) -> str:
    return base64url_encode(random(32))


def is_well_formed_token(text: str) -> bool:
    """Whether `text` has the form of a session cookie's value; nothing else is ever looked up."""
    return _TOKEN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookies:
    """`name`, `same_site` and `domain` as configured; `providers` are all that are configured."""

    name: str
    same_site: SameSite
    domain: str | None = None
    providers: tuple[str, ...] = ()
    default_provider: str | None = None
    _own_name_pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own_name_pattern = (
            rf"[{_WHITE_SPACE}]*(?:__(?:host|secure)-)?{re.escape(self.name)}(?:-.*)?"
        )
        object.__setattr__(
            self, "_own_name_pattern", re.compile(own_name_pattern, re.IGNORECASE | re.DOTALL)
        )

    def name_for(self, provider: str, origin: Origin) -> str:
        """The name of the cookie that holds `origin`'s session with `provider`."""
        default = self.default_provider or (self.providers[0] if len(self.providers) == 1 else None)
        name = self.name if provider == default else f"{self.name}-{provider}"
        if origin.scheme != "https":
            return name
        return f"__Secure-{name}" if self.is_in_shared_domain(origin) else f"__Host-{name}"

    def scope_for(self, origin: Origin) -> str:
        """What a session of `origin` is sealed to: the origin itself, or the shared domain."""
        if not self.is_in_shared_domain(origin):
            return str(origin)
        # A cookie that travelled in the clear opens no https host.
        return f".{self.domain}" if origin.scheme == "https" else f"http://.{self.domain}"

    def is_in_shared_domain(self, origin: Origin) -> bool:
        """Whether `origin` lies in the domain that shares one cookie."""
        return self.domain is not None and f".{origin.host}".endswith(f".{self.domain}")

    def set_cookie(
        self, name: str, value: str, *, origin: Origin, max_age: float | None = None
    ) -> str:
        """One `Set-Cookie` value. Without `max_age`, which should end with the session, the cookie
        goes with the browser."""
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"not a cookie that can be set: `{name}`")
        age = () if max_age is None else (f"Max-Age={max(0, int(max_age))}",)
        return "; ".join((f"{name}={value}", *age, *self._attributes(origin)))

    def clear_cookie(self, name: str, *, origin: Origin) -> str:
        """One `Set-Cookie` value that removes what `set_cookie` made for the same name and
        origin."""
        gone = ("Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        return "; ".join((f"{name}=", *gone, *self._attributes(origin)))

    def read_token(self, lines: CookieLines, name: str) -> str | None:
        """The session token in cookie `name`; None unless it is there once and without fault.

        A name that occurs twice was set by somebody else as well, and nobody can tell which one
        is ours (RFC 6265 section 8.6); odd spacing or quotes are of no browser's making.
        """
        value = read_single_cookie(lines, name)
        return value if value is not None and is_well_formed_token(value) else None

    def remove_own(self, lines: CookieLines) -> str | None:
        """The `Cookie` header an application may see; None when there was nothing to remove.

        All else stays byte for byte. It is empty when no other cookie was sent.
        """
        rest = [kept for line in lines if (kept := self._remove_own_from_line(line)) is not None]
        return None if tuple(rest) == lines else "; ".join(rest)

    def is_own_name(self, name: str) -> bool:
        """Whether a cookie of this name is one of ours, under any prefix and for any purpose."""
        return self._own_name_pattern.fullmatch(name.rstrip(_WHITE_SPACE)) is not None

    def _remove_own_from_line(self, line: str) -> str | None:
        pairs = line.split(";")
        kept = [pair for pair in pairs if not self.is_own_name(pair.partition("=")[0])]
        if len(kept) == len(pairs):
            return line
        if not any(pair.strip(_BLANK) for pair in kept):
            return None
        if kept[0] is not pairs[0]:
            kept[0] = kept[0].lstrip(" ")
        return ";".join(kept)

    def _attributes(self, origin: Origin) -> Iterable[str]:
        yield "Path=/"
        if self.is_in_shared_domain(origin):
            yield f"Domain={self.domain}"
        if origin.scheme == "https":
            yield "Secure"
        yield "HttpOnly"
        yield f"SameSite={self.same_site.capitalize()}"


def cookie_pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and value of each cookie of `Cookie` header lines, trimmed as browsers trim them.

    A pair without `=` is the value of a cookie that has no name (RFC 6265bis section 5.7).
    """
    for line in lines:
        for pair in line.split(";"):
            name, equals, value = pair.partition("=")
            if equals:
                yield name.strip(_BLANK), value.strip(_BLANK)


def read_single_cookie(lines: CookieLines, name: str) -> str | None:
    """The raw value of cookie `name`; None when absent, repeated, or written in an odd way."""
    values: list[str | None] = []
    for line in lines:
        for index, pair in enumerate(line.split(";")):
            key, equals, value = pair.partition("=")
            if not equals or key.strip(_BLANK) != name:
                continue
            # RFC 6265 section 4.2.1: cookie-string = cookie-pair *( ";" SP cookie-pair )
            is_well_formed = key == (f" {name}" if index else name) and _VALUE.fullmatch(value)
            values.append(value if is_well_formed else None)
    return values[0] if len(values) == 1 else None
