"""The requests and responses of the login endpoints, as plain values. Duplicate parameters and
headers are kept, so that they can be refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.errors import LoginRefused

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address, Headers
    from authz_sidecar.core.urls import Origin

Pairs = tuple[tuple[str, str], ...]


class BadRequest(LoginRefused):
    """The request is malformed, or is not one that a browser sends during a login."""

    status = 400
    public_message = "This request does not belong to a sign-in."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """A request to a login endpoint.

    `origin`: the configured origin that its Host header names.
    `query`, `form`: decoded pairs in order of arrival.
    `headers`: all header lines, with names in lower case.
    `client`: the client's IP address.
    """

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
        """The values of the Cookie header lines."""
        return self.header_lines("cookie")

    @property
    def user_agent(self) -> str:
        """The User-Agent header, or an empty text."""
        return "".join(self.header_lines("user-agent")[:1])

    def header_lines(self, name: str) -> tuple[str, ...]:
        """Return the values of all lines of a header; `name` is in lower case."""
        return tuple(value for key, value in self.headers if key == name)

    def header(self, name: str) -> str | None:
        """Return the value of a header that occurs exactly once, or None."""
        lines = self.header_lines(name)
        return lines[0] if len(lines) == 1 else None


def single_parameter(pairs: Pairs, name: str) -> str | None:
    """Return the value of a parameter, or None when it is absent. Raises `BadRequest` when it
    occurs more than once."""
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise BadRequest(f"parameter `{name:.60}` is given {len(values)} times")
    return values[0] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginResponse:
    """A response of a login endpoint."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def with_cookies(self, *cookies: str) -> LoginResponse:
        """Return this response with more Set-Cookie lines."""
        more = tuple(("set-cookie", cookie) for cookie in cookies)
        return LoginResponse(status=self.status, headers=(*self.headers, *more), body=self.body)

    def with_header(self, name: str, value: str) -> LoginResponse:
        """Return this response with exactly one line of this header."""
        others = tuple(line for line in self.headers if line[0] != name)
        return LoginResponse(status=self.status, headers=(*others, (name, value)), body=self.body)


NO_STORE = (("cache-control", "no-store"), ("referrer-policy", "no-referrer"))


def redirect(url: str) -> LoginResponse:
    """Return a redirect with status 303, after which the browser sends a GET."""
    return LoginResponse(status=303, headers=(("location", url), *NO_STORE))
