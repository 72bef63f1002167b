"""Our cookies: their names, how they are set, and how they are read from raw header lines.

Decides which cookie belongs to which provider and origin, and which cookies an application may
see. Knows nothing of what a session is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.core.urls import Origin

SameSite = Literal["lax", "strict", "none"]
CookieLines = tuple[str, ...]
"""The values of all `Cookie` header lines, decoded as latin-1, in order of arrival."""

# 256 bits in base64url. Of the last character only four bits count: no second spelling.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_PREFIX = re.compile(r"__(?:host|secure)-", re.IGNORECASE)
# RFC 6265 section 4.1.1: token and cookie-octet.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
# What some server or other takes for white space around a name.
_SPACE = " \t\r\n\v\f\x00\x85\xa0"


def is_token(text: str) -> bool:
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

    def name_for(self, provider: str, origin: Origin) -> str:
        """The name of the cookie that holds `origin`'s session with `provider`."""
        default = self.default_provider or (self.providers[0] if len(self.providers) == 1 else None)
        name = self.name if provider == default else f"{self.name}-{provider}"
        return self._prefix(origin, shared=self.covers(origin)) + name

    def host_name_for(self, suffix: str, origin: Origin) -> str:
        """The name of a cookie of ours that is never shared, such as a sign-in attempt's."""
        return f"{self._prefix(origin, shared=False)}{self.name}-{suffix}"

    def scope_for(self, origin: Origin) -> str:
        """What a session of `origin` is sealed to: the origin itself, or the shared domain."""
        if not self.covers(origin):
            return str(origin)
        # A cookie that travelled in the clear opens no https host.
        return f".{self.domain}" if origin.scheme == "https" else f"http://.{self.domain}"

    def covers(self, origin: Origin) -> bool:
        """Whether `origin` lies in the domain that shares one cookie."""
        return self.domain is not None and f".{origin.host}".endswith(f".{self.domain}")

    def set(
        self,
        name: str,
        value: str,
        *,
        origin: Origin,
        max_age: float | None = None,
        same_site: SameSite | None = None,
        host_only: bool = False,
    ) -> str:
        """One `Set-Cookie` value. Without `max_age` the cookie goes with the browser.

        `host_only` is for names of `host_name_for`. A `max_age` should end with the session.
        """
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"not a cookie that can be set: `{name}`")
        age = () if max_age is None else (f"Max-Age={max(0, int(max_age))}",)
        attributes = self._attributes(name, origin, same_site=same_site, host_only=host_only)
        return "; ".join((f"{name}={value}", *age, *attributes))

    def clear(
        self,
        name: str,
        *,
        origin: Origin,
        same_site: SameSite | None = None,
        host_only: bool = False,
    ) -> str:
        """One `Set-Cookie` value that removes what `set` with the same arguments made."""
        attributes = self._attributes(name, origin, same_site=same_site, host_only=host_only)
        gone = ("Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        return "; ".join((f"{name}=", *gone, *attributes))

    def read(self, lines: CookieLines, name: str) -> str | None:
        """The session token in cookie `name`; None unless it is there once and without fault.

        A name that occurs twice was set by somebody else as well, and nobody can tell which one
        is ours (RFC 6265 section 8.6); odd spacing or quotes are of no browser's making.
        """
        value = read_one(lines, name)
        return value if value is not None and is_token(value) else None

    def strip(self, lines: CookieLines) -> str | None:
        """The `Cookie` header an application may see; None when there was nothing to remove.

        All else stays byte for byte. It is empty when no other cookie was sent.
        """
        rest = [kept for line in lines if (kept := self._strip_line(line)) is not None]
        return None if tuple(rest) == lines else "; ".join(rest)

    def owns(self, name: str) -> bool:
        """Whether a cookie of this name is one of ours, under any prefix and for any purpose."""
        bare = _PREFIX.sub("", name.strip(_SPACE), count=1).lower()
        ours = self.name.lower()
        return bare == ours or bare.startswith(f"{ours}-")

    def _strip_line(self, line: str) -> str | None:
        pairs = line.split(";")
        kept = [pair for pair in pairs if not self.owns(pair.partition("=")[0])]
        if len(kept) == len(pairs):
            return line
        if not any(pair.strip(_SPACE) for pair in kept):
            return None
        if kept[0] is not pairs[0]:
            kept[0] = kept[0].lstrip(" ")
        return ";".join(kept)

    def _prefix(self, origin: Origin, *, shared: bool) -> str:
        if origin.scheme != "https":
            return ""
        return "__Secure-" if shared else "__Host-"

    def _attributes(
        self, name: str, origin: Origin, *, same_site: SameSite | None, host_only: bool
    ) -> Iterable[str]:
        secure = origin.scheme == "https"
        shared = self.covers(origin) and not host_only
        if shared and name.startswith("__Host-"):
            raise ValueError(f"`{name}` belongs to one host, so it must be set with `host_only`")
        policy = same_site or self.same_site
        if policy == "none" and not secure:
            policy = "lax"  # browsers drop `SameSite=None` without `Secure`
        yield "Path=/"
        if shared:
            yield f"Domain={self.domain}"
        if secure:
            yield "Secure"
        yield "HttpOnly"
        yield f"SameSite={policy.capitalize()}"


def read_one(lines: CookieLines, name: str) -> str | None:
    """The raw value of cookie `name`; None when absent, repeated, or written in an odd way."""
    return read_all(lines, beginning=name).get(name)


def read_all(lines: CookieLines, *, beginning: str) -> dict[str, str]:
    """The cookies whose names begin so, by name, in order; without the repeated and the odd."""
    found: dict[str, str | None] = {}
    for line in lines:
        for at, pair in enumerate(line.split(";")):
            key, equals, value = pair.partition("=")
            name = key.strip(_SPACE)
            if not name.startswith(beginning):
                continue
            # RFC 6265 section 4.2.1: cookie-string = cookie-pair *( ";" SP cookie-pair )
            exact = equals and key == (f" {name}" if at else name) and _VALUE.fullmatch(value)
            found[name] = value if exact and name not in found else None
    return {name: value for name, value in found.items() if value is not None}
