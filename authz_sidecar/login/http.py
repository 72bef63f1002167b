"""What the web edge hands in and gets back: plain values, with doubles kept so that they can be
refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.errors import LoginRefused

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address, Headers
    from authz_sidecar.core.urls import Origin

Pairs = tuple[tuple[str, str], ...]


class BadRequest(LoginRefused):
    """A request that no browser sends in the course of a sign-in."""

    status = 400
    public_message = "This request is not one that a sign-in consists of."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """`origin` is the configured one that this request's Host names. `query` and `form` are decoded
    pairs in order of arrival; `headers` are all lines, names in lower case."""

    origin: Origin
    method: str = "GET"
    path: str = "/"
    query: Pairs = ()
    form: Pairs = ()
    headers: Headers = ()
    client: Address | None = None
    request_id: str = ""

    @property
    def cookies(self) -> tuple[str, ...]:
        """The raw Cookie lines."""
        return self.header_lines("cookie")

    @property
    def user_agent(self) -> str:
        return "".join(self.header_lines("user-agent")[:1])

    def header_lines(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key == name)

    def header(self, name: str) -> str | None:
        lines = self.header_lines(name)
        return lines[0] if len(lines) == 1 else None


def single_parameter(pairs: Pairs, name: str) -> str | None:
    """The only value of a parameter, None when it is absent; twice is refused."""
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise BadRequest(f"parameter `{name:.60}` is given {len(values)} times")
    return values[0] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginResponse:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def with_cookies(self, *cookies: str) -> LoginResponse:
        """The same answer with more Set-Cookie lines."""
        more = tuple(("set-cookie", cookie) for cookie in cookies)
        return LoginResponse(status=self.status, headers=(*self.headers, *more), body=self.body)

    def with_header(self, name: str, value: str) -> LoginResponse:
        """The same answer with one header line of that name."""
        others = tuple(line for line in self.headers if line[0] != name)
        return LoginResponse(status=self.status, headers=(*others, (name, value)), body=self.body)


NO_STORE = (("cache-control", "no-store"), ("referrer-policy", "no-referrer"))


def redirect(url: str) -> LoginResponse:
    """303: whatever the method was, the next request is a GET."""
    return LoginResponse(status=303, headers=(("location", url), *NO_STORE))
