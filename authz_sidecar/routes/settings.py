"""The settings of one route, as this room reads them from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authz_sidecar.core.header_template import HeaderTemplate
    from authz_sidecar.core.urls import Origin


class PathSettings(Protocol):
    """The settings that say which paths of its hosts a route takes."""

    @property
    def prefix(self) -> str | None:
        """A decoded path prefix."""

    @property
    def path(self) -> str | None:
        """A decoded path, compared exactly."""

    @property
    def regex(self) -> str | None:
        """A regular expression (RE2) for the whole decoded path."""

    @property
    def prefix_match(self) -> Literal["segment", "plain"]:
        """Whether `prefix` compares whole segments or characters."""


class RouteSettings(PathSettings, Protocol):
    """The settings of a route, by their names in the configuration."""

    @property
    def name(self) -> str | None:
        """The name in logs; None for one made from host and path."""

    @property
    def from_(self) -> str:
        """The host pattern, `https://app.example.com`."""

    @property
    def paths(self) -> Literal["exact", "ignore_case"]:
        """Whether the letter case of paths counts."""

    @property
    def identity_provider(self) -> tuple[str, ...] | None:
        """The names of the identity providers; None for the default one."""

    @property
    def token_issuers(self) -> tuple[str, ...]:
        """The names of the issuers whose tokens are accepted."""

    @property
    def service_accounts(self) -> bool:
        """Whether tokens of service accounts are accepted."""

    @property
    def command_line_tools(self) -> bool:
        """Whether sessions of command-line tools are accepted."""

    @property
    def basic_auth(self) -> bool:
        """Whether users of the password file are accepted."""

    @property
    def identity(self) -> Literal["none", "optional"] | None:
        """Whether a public route looks up a session; None for what the policy needs."""

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of shared policies."""

    @property
    def policy(self) -> object:
        """The route's own policy document, not parsed yet."""

    @property
    def allow_public_unauthenticated_access(self) -> bool:
        """Allows every request, without a sign-in."""

    @property
    def allow_any_authenticated_user(self) -> bool:
        """Allows every signed-in user."""

    @property
    def cors_allow_preflight(self) -> bool:
        """Allows CORS preflight requests without a sign-in."""

    @property
    def allowed_domains(self) -> Sequence[str]:
        """Allows users by the domain of their e-mail address."""

    @property
    def allowed_users(self) -> Sequence[str]:
        """Allows users by e-mail address or user id."""

    @property
    def allowed_idp_claims(self) -> Mapping[str, Sequence[object]]:
        """Allows users by the values of a claim."""

    @property
    def allowed_origins(self) -> Sequence[Origin]:
        """Further origins whose pages may open a WebSocket."""

    @property
    def depends_on(self) -> Sequence[Origin]:
        """Origins that are signed in together with this route."""

    @property
    def set_request_headers(self) -> Mapping[str, HeaderTemplate]:
        """Templates of headers for the application, by name."""
