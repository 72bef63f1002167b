"""What a route is: a place (host pattern and path rule) and what holds there."""

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
"""Vouches for service accounts, where people have an identity provider."""
PASSWORD_FILE = "htpasswd"  # noqa: S105 - the word for it
"""Vouches for the users of the password file."""

HeaderTemplates: TypeAlias = "tuple[tuple[str, HeaderTemplate], ...]"


class WildcardDepth(StrEnum):
    """How many labels a host pattern leaves open."""

    EXACT = ""
    ONE_LABEL = "*."
    ANY = "**."


class PathKind(StrEnum):
    EXACT = "path"
    REGEX = "regex"
    PREFIX = "prefix"
    """Whole segments: `/admin` covers `/admin/x`, not `/administrator`."""
    PLAIN_PREFIX = "plain prefix"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`name` is normal (lower case, no trailing dot), without the wildcard; `port` is None for the
    scheme's default."""

    scheme: str
    depth: WildcardDepth
    name: str
    port: int | None = None

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.depth}{self.name}{port}"


@dataclass(frozen=True, slots=True)
class PathRule:
    """`text` is a decoded path or prefix, or a pattern for the whole decoded path."""

    kind: PathKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind} `{self.text}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`identity` says whether a session is looked for: `none` on public routes unless the operator
    wants to know who comes. `providers` are those whose sessions count here. `ignore_case` makes
    letter case a reading of the path. `token_issuers` are those whose tokens count here;
    `service_accounts`, `command_line_tools` and `basic_auth` say whether these do.
    `set_request_headers` are for the application, beside the identity headers. `depends_on` are
    origins that are signed in together with it. `written_at` leads to the route in the
    configuration."""

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
        """Whether who is vouched for by this name, other than by a sign-in, counts here."""
        if provider == SERVICE_ACCOUNTS:
            return self.service_accounts
        if provider == PASSWORD_FILE:
            return self.basic_auth
        return provider in self.token_issuers
