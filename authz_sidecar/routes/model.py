"""A route: where it applies (host pattern and path rule) and what applies there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from authz_sidecar.core.header_template import HeaderTemplate
    from authz_sidecar.core.source_locations import PathStep
    from authz_sidecar.policy import Policy

IdentityMode = Literal["required", "optional", "none"]

SERVICE_ACCOUNTS = "service-account"
"""The provider name in the identity of a service account."""
PASSWORD_FILE = "htpasswd"  # noqa: S105 - the word for it
"""The provider name in the identity of a user of the password file."""

HeaderTemplates: TypeAlias = "tuple[tuple[str, HeaderTemplate], ...]"


class WildcardDepth(StrEnum):
    """How many labels a host pattern leaves open."""

    EXACT = ""
    ONE_LABEL = "*."
    ANY = "**."


class PathKind(StrEnum):
    """How a path rule compares."""

    EXACT = "path"
    REGEX = "regex"
    PREFIX = "prefix"
    """Whole segments: `/admin` covers `/admin/x`, not `/administrator`."""
    PLAIN_PREFIX = "plain prefix"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """The hosts of a route: `https://app.example.com`, `https://*.example.com` or
    `https://**.example.com`.

    - `name`: in normal form (lower case, no trailing dot), without the wildcard.
    - `port`: None for the scheme's default.
    """

    scheme: str
    depth: WildcardDepth
    name: str
    port: int | None = None

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.depth}{self.name}{port}"


@dataclass(frozen=True, slots=True)
class PathRule:
    """The paths of a route. `text` is a decoded path or prefix, or a pattern for the whole decoded
    path."""

    kind: PathKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind} `{self.text}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of the configuration, compiled.

    - `identity`: whether a session is looked up; `none` on public routes unless the operator wants
      to identify visitors.
    - `providers`: the identity providers whose sessions are accepted.
    - `token_issuers`: the issuers whose tokens are accepted.
    - `service_accounts`, `command_line_tools`, `basic_auth`: whether these credentials are
      accepted.
    - `ignore_case`: lower-case paths are interpretations of the path too.
    - `set_request_headers`: headers for the application, beside the identity headers.
    - `depends_on`: origins that are signed in together with this route.
    - `written_at`: the path of the route in the configuration.
    """

    name: str
    host: HostPattern
    paths: PathRule
    policy: Policy
    providers: tuple[str, ...] = ()
    token_issuers: tuple[str, ...] = ()
    service_accounts: bool = False
    command_line_tools: bool = False
    basic_auth: bool = False
    identity: IdentityMode = "required"
    public: bool = False
    allowed_origins: tuple[str, ...] = ()
    ignore_case: bool = False
    set_request_headers: HeaderTemplates = ()
    depends_on: tuple[str, ...] = ()
    written_at: tuple[PathStep, ...] = ()

    def accepts_credentials_of(self, provider: str) -> bool:
        """Whether credentials of this provider, other than sessions of a sign-in, are accepted."""
        if provider == SERVICE_ACCOUNTS:
            return self.service_accounts
        if provider == PASSWORD_FILE:
            return self.basic_auth
        return provider in self.token_issuers
