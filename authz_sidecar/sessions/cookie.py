"""Session cookies: their names, their `Set-Cookie` values, and parsing of raw `Cookie` headers.

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
# Characters that some application server strips from a name: it must not read our cookie that way.
_WHITE_SPACE = f"{_BLANK}\r\n\v\f\x00\x85\xa0"


def generate_token(random: Callable[[int], bytes]) -> str:
    """A new session token: 256 random bits in base64url."""
    return base64url_encode(random(32))


def is_well_formed_token(text: str) -> bool:
    """Whether the text has the form of a session token; no other text is looked up in the store."""
    return _TOKEN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookies:
    """The session cookies of one configuration.

    `name`: the configured base name.
    `same_site`: the `SameSite` attribute.
    `domain`: the domain whose hosts share one cookie; None for one cookie per host.
    `providers`: the names of all configured identity providers.
    `default_provider`: the provider whose cookie has the base name alone.
    """

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
        """The name of the cookie for a session of `origin` with `provider`, with the `__Host-` or
        `__Secure-` prefix over https (RFC 6265bis section 4.1.3)."""
        default = self.default_provider or (self.providers[0] if len(self.providers) == 1 else None)
        name = self.name if provider == default else f"{self.name}-{provider}"
        if origin.scheme != "https":
            return name
        return f"__Secure-{name}" if self.is_in_shared_domain(origin) else f"__Host-{name}"

    def scope_for(self, origin: Origin) -> str:
        """The scope to which a session of `origin` is sealed: the origin itself, or the shared
        domain."""
        if not self.is_in_shared_domain(origin):
            return str(origin)
        # A cookie that travelled in the clear opens no https host.
        return f".{self.domain}" if origin.scheme == "https" else f"http://.{self.domain}"

    def is_in_shared_domain(self, origin: Origin) -> bool:
        """Whether `origin` is in the domain whose hosts share one cookie."""
        return self.domain is not None and f".{origin.host}".endswith(f".{self.domain}")

    def set_cookie(
        self, name: str, value: str, *, origin: Origin, max_age: float | None = None
    ) -> str:
        """The `Set-Cookie` value that sets a cookie.

        `max_age`: seconds until it expires; without it, the cookie ends with the browser session.

        Raises `ValueError` when the name or value is not allowed in a cookie (RFC 6265 section
        4.1.1).
        """
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"not a cookie that can be set: `{name}`")
        age = () if max_age is None else (f"Max-Age={max(0, int(max_age))}",)
        return "; ".join((f"{name}={value}", *age, *self._attributes(origin)))

    def clear_cookie(self, name: str, *, origin: Origin) -> str:
        """The `Set-Cookie` value that removes the cookie which `set_cookie` sets for this name and
        origin."""
        expired = ("Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        return "; ".join((f"{name}=", *expired, *self._attributes(origin)))

    def read_token(self, lines: CookieLines, name: str) -> str | None:
        """The session token in the cookie `name`; None unless it occurs once and is well-formed.

        A name that occurs twice was also set by another host or path, and the order does not tell
        which one is ours (RFC 6265 section 8.6). Browsers send neither odd spacing nor quotes.
        """
        value = read_single_cookie(lines, name)
        return value if value is not None and is_well_formed_token(value) else None

    def remove_own(self, lines: CookieLines) -> str | None:
        """The `Cookie` header without our cookies, for the application; None when it contained
        none of them.

        All other cookies stay byte for byte. Empty when there are no others.
        """
        remaining = [line for line in map(self._remove_own_from_line, lines) if line is not None]
        return None if tuple(remaining) == lines else "; ".join(remaining)

    def is_own_name(self, name: str) -> bool:
        """Whether a cookie name is one of ours, with any prefix and for any purpose."""
        return self._own_name_pattern.fullmatch(name.rstrip(_WHITE_SPACE)) is not None

    def _remove_own_from_line(self, line: str) -> str | None:
        pairs = line.split(";")
        others = [pair for pair in pairs if not self.is_own_name(pair.partition("=")[0])]
        if len(others) == len(pairs):
            return line
        if not any(pair.strip(_BLANK) for pair in others):
            return None
        if others[0] is not pairs[0]:
            others[0] = others[0].lstrip(" ")
        return ";".join(others)

    def _attributes(self, origin: Origin) -> Iterable[str]:
        yield "Path=/"
        if self.is_in_shared_domain(origin):
            yield f"Domain={self.domain}"
        if origin.scheme == "https":
            yield "Secure"
        yield "HttpOnly"
        yield f"SameSite={self.same_site.capitalize()}"


def cookie_pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and value of each cookie in `Cookie` header lines, trimmed as browsers trim them.

    A pair without `=` is skipped: it is the value of a cookie without a name (RFC 6265bis section
    5.7).
    """
    for line in lines:
        for pair in line.split(";"):
            name, equals, value = pair.partition("=")
            if equals:
                yield name.strip(_BLANK), value.strip(_BLANK)


def read_single_cookie(lines: CookieLines, name: str) -> str | None:
    """The raw value of the cookie `name`; None when it is absent, repeated or not well-formed (RFC
    6265 section 4.2.1)."""
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
