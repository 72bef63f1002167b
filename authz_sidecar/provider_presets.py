"""Presets for kinds of identity providers, as data: defaults of their configuration, and what no
configuration can say. Knows nothing of tokens, HTTP or the schema.

`PROVIDER_PRESETS` is in the order of the documentation. Source: each provider's reference; where a
provider does not behave as it documents, see `docs/providers.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OPENID",
    "PROVIDER_PRESETS",
    "ClaimsSource",
    "LogoutOverride",
    "OAuth2Endpoints",
    "ProviderPreset",
]

ClaimsSource = Literal["openid", "graph", "github"]
"""The source of claims beside the ID token: userinfo, also Microsoft Graph if the token omits groups,
or GitHub's API instead of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Endpoints:
    """The endpoints of a provider without discovery, as paths below its issuer.

    `issuer`: its `iss` in authorization responses (RFC 9207).
    `hosted`: the issuer whose API has a host of its own; self-hosted ones have it at `api_path`.
    """

    issuer: str
    authorization: str
    token: str
    hosted: str
    hosted_api: str
    api_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutOverride:
    """Sign-out that differs from RP-Initiated Logout.

    `path`: the path on the host of the authorization endpoint.
    `parameter`: the parameter with the return URL.
    `replaces_discovered`: whether it is used even if discovery offers RP-Initiated Logout.
    """

    path: str
    parameter: str
    replaces_discovered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPreset:
    """The preset of one kind of provider.

    `defaults`: defaults in the notation of the configuration. Without an `issuer` among them, the
        operator has to set it, and `example` is what it looks like.
    """

    name: str
    defaults: Mapping[str, object] = field(default_factory=dict)
    example: str = "https://idp.example.com"
    verified_claim: str = "email_verified"
    """The claim by which the provider vouches for the first of the e-mail claims."""
    multi_tenant_segments: tuple[str, ...] = ()
    """Segments of the issuer in place of which tokens have the id of the user's tenant."""
    claims_source: ClaimsSource = "openid"
    oauth2: OAuth2Endpoints | None = None
    logout_override: LogoutOverride | None = None
    secret_is_signed_jwt: bool = False
    """Whether the client's secret is a token that we sign with `client_key`."""
    posts_user_name: bool = False
    """Whether the name is in the authorization response that the browser posts, at the first sign-in only."""
    groups_are_self_service: bool = False
    """Whether any user of the provider can create a group with any name that is free."""
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"

    def tenant_template(self, issuer: str) -> str | None:
        """Return the issuer with `{tenantid}` in place of the tenant's id, or None if the issuer is
        the same for all tenants."""
        for word in self.multi_tenant_segments:
            before, found, after = issuer.partition(f"/{word}/")
            if found:
                return f"{before}/{{tenantid}}/{after}"
        return None


OPENID: Final = ProviderPreset(name="oidc")

_VERIFIED: Final[Mapping[str, Any]] = {"require_verified_email": True}

_GOOGLE = ProviderPreset(
    name="google",
    defaults={
        "label": "Google",
        "issuer": "https://accounts.google.com",
        # Google gives a refresh token for these alone, and only where consent was asked for.
        "authorization_parameters": {"access_type": "offline", "prompt": "consent"},
        **_VERIFIED,
    },
)

_AZURE = ProviderPreset(
    name="azure",
    example="https://login.microsoftonline.com/TENANT-ID/v2.0",
    defaults={
        "label": "Microsoft",
        "claims": {"email": ["email", "preferred_username"]},
        **_VERIFIED,
    },
    # "nOAuth": any tenant's administrator can write any address into `email`; only this claim, which
    # has to be asked for, says that the tenant owns the address's domain.
    verified_claim="xms_edov",
    multi_tenant_segments=("common", "organizations"),
    claims_source="graph",
    assertion_audience="token_endpoint",
)

_OKTA = ProviderPreset(
    name="okta",
    example="https://COMPANY.okta.com",
    defaults={"label": "Okta"},
    assertion_audience="token_endpoint",
)

_AUTH0 = ProviderPreset(
    name="auth0",
    example="https://TENANT.eu.auth0.com/",
    defaults={"label": "Auth0", **_VERIFIED},
    # Tenants from before November 2023 have no end_session_endpoint until it is switched on.
    logout_override=LogoutOverride(
        path="/v2/logout", parameter="returnTo", replaces_discovered=False
    ),
)

_GITLAB = ProviderPreset(
    name="gitlab",
    defaults={
        "label": "GitLab",
        "issuer": "https://gitlab.com",
        "claims": {"groups": ["groups", "groups_direct"]},
        **_VERIFIED,
    },
    groups_are_self_service=True,
)

_GITHUB = ProviderPreset(
    name="github",
    defaults={
        "label": "GitHub",
        "issuer": "https://github.com",
        "scopes": ["read:user", "user:email", "read:org"],
        **_VERIFIED,
    },
    claims_source="github",
    groups_are_self_service=True,
    oauth2=OAuth2Endpoints(
        issuer="/login/oauth",
        authorization="/login/oauth/authorize",
        token="/login/oauth/access_token",  # noqa: S106 -- a path
        hosted="https://github.com",
        hosted_api="https://api.github.com",
        api_path="/api/v3",
    ),
)

_KEYCLOAK = ProviderPreset(
    name="keycloak",
    example="https://keycloak.example.com/realms/REALM",
    defaults={
        "label": "Keycloak",
        "claims": {
            "groups": ["groups", "realm_access.roles", "resource_access.{client_id}.roles"],
        },
        **_VERIFIED,
    },
)

_COGNITO = ProviderPreset(
    name="cognito",
    example="https://cognito-idp.REGION.amazonaws.com/POOL",
    defaults={
        "label": "Amazon Cognito",
        "scopes": ["openid", "email", "profile"],
        "claims": {"groups": "cognito:groups"},
        **_VERIFIED,
    },
    logout_override=LogoutOverride(
        path="/logout", parameter="logout_uri", replaces_discovered=True
    ),
)

_APPLE = ProviderPreset(
    name="apple",
    defaults={
        "label": "Apple",
        "issuer": "https://appleid.apple.com",
        "scopes": ["openid", "name", "email"],
        "response_mode": "form_post",
        "client_authentication": "client_secret_post",
        **_VERIFIED,
    },
    secret_is_signed_jwt=True,
    posts_user_name=True,
)

_ONELOGIN = ProviderPreset(
    name="onelogin",
    example="https://COMPANY.onelogin.com/oidc/2",
    defaults={"label": "OneLogin", "scopes": ["openid", "profile", "email", "groups"]},
)

_PING = ProviderPreset(
    name="ping",
    example="https://auth.pingone.com/ENVIRONMENT-ID/as",
    defaults={"label": "Ping Identity", "claims": {"email": ["email", "mail"]}},
)

PROVIDER_PRESETS: Final[Mapping[str, ProviderPreset]] = {
    kind.name: kind
    for kind in (
        OPENID,
        _GOOGLE,
        _AZURE,
        _OKTA,
        _AUTH0,
        _GITLAB,
        _GITHUB,
        _KEYCLOAK,
        _COGNITO,
        _APPLE,
        _ONELOGIN,
        _PING,
    )
}
