"""Every kind, in the order of the documentation. Sources: each provider's own reference; what they
document and what they send are not always the same, see `docs/providers.md`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "OPENID", "AboutUser", "Kind", "PlainOAuth", "SignOut"]

AboutUser = Literal["openid", "graph", "github"]
"""Who says more of a user than the ID token: userinfo alone, Microsoft Graph too where the token
leaves groups out, or GitHub's API instead of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOAuth:
    """Where a provider without discovery is asked, as paths below its issuer. `issuer` is what it
    calls itself in answers (RFC 9207). `hosted` is the one whose API has a host of its own; those
    that people run themselves have it at `api_path`."""

    issuer: str
    authorization: str
    token: str
    hosted: str
    hosted_api: str
    api_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOut:
    """Sign-out by other words than RP-Initiated Logout: `path` is on the host of the authorization
    endpoint, `parameter` says where to return. `instead` of what discovery offers, or without it."""

    path: str
    parameter: str
    instead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`defaults` are in the configuration's own words. Where they have no `issuer`, the operator
    must, and `example` shows how it looks."""

    name: str
    defaults: Mapping[str, object] = field(default_factory=dict)
    example: str = "https://idp.example.com"
    verified_by: str = "email_verified"
    """The claim by which the provider vouches for the first of the e-mail claims."""
    tenant_words: tuple[str, ...] = ()
    """What stands in the issuer where tokens have the id of their user's own tenant instead."""
    about_user: AboutUser = "openid"
    plain_oauth: PlainOAuth | None = None
    sign_out: SignOut | None = None
    signs_its_secret: bool = False
    """Whether the client's secret is a token that we sign with `client_key`."""
    posts_user: bool = False
    """Whether a name comes with the answer that the browser posts, at the first sign-in only."""
    groups_by_anybody: bool = False
    """Whether anybody with an account there can make a group of any name that is free."""
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"

    def tenant_template(self, issuer: str) -> str | None:
        """The issuer with `{tenantid}` where each tenant has its id; None where it is one for all."""
        for word in self.tenant_words:
            before, found, after = issuer.partition(f"/{word}/")
            if found:
                return f"{before}/{{tenantid}}/{after}"
        return None


OPENID: Final = Kind(name="oidc")

_VERIFIED: Final[Mapping[str, Any]] = {"require_verified_email": True}

_GOOGLE = Kind(
    name="google",
    defaults={
        "label": "Google",
        "issuer": "https://accounts.google.com",
        # Google gives a refresh token for these alone, and only where consent was asked for.
        "authorization_parameters": {"access_type": "offline", "prompt": "consent"},
        **_VERIFIED,
    },
)

_AZURE = Kind(
    name="azure",
    example="https://login.microsoftonline.com/TENANT-ID/v2.0",
    defaults={
        "label": "Microsoft",
        "claims": {"email": ["email", "preferred_username"]},
        **_VERIFIED,
    },
    # "nOAuth": any tenant's administrator can write any address into `email`; only this claim, which
    # has to be asked for, says that the tenant owns the address's domain.
    verified_by="xms_edov",
    tenant_words=("common", "organizations"),
    about_user="graph",
    assertion_audience="token_endpoint",
)

_OKTA = Kind(
    name="okta",
    example="https://COMPANY.okta.com",
    defaults={"label": "Okta"},
    assertion_audience="token_endpoint",
)

_AUTH0 = Kind(
    name="auth0",
    example="https://TENANT.eu.auth0.com/",
    defaults={"label": "Auth0", **_VERIFIED},
    # Tenants from before November 2023 have no end_session_endpoint until it is switched on.
    sign_out=SignOut(path="/v2/logout", parameter="returnTo", instead=False),
)

_GITLAB = Kind(
    name="gitlab",
    defaults={
        "label": "GitLab",
        "issuer": "https://gitlab.com",
        "claims": {"groups": ["groups", "groups_direct"]},
        **_VERIFIED,
    },
    groups_by_anybody=True,
)

_GITHUB = Kind(
    name="github",
    defaults={
        "label": "GitHub",
        "issuer": "https://github.com",
        "scopes": ["read:user", "user:email", "read:org"],
        **_VERIFIED,
    },
    about_user="github",
    groups_by_anybody=True,
    plain_oauth=PlainOAuth(
        issuer="/login/oauth",
        authorization="/login/oauth/authorize",
        token="/login/oauth/access_token",  # noqa: S106 -- a path
        hosted="https://github.com",
        hosted_api="https://api.github.com",
        api_path="/api/v3",
    ),
)

_KEYCLOAK = Kind(
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

_COGNITO = Kind(
    name="cognito",
    example="https://cognito-idp.REGION.amazonaws.com/POOL",
    defaults={
        "label": "Amazon Cognito",
        "scopes": ["openid", "email", "profile"],
        "claims": {"groups": "cognito:groups"},
        **_VERIFIED,
    },
    sign_out=SignOut(path="/logout", parameter="logout_uri", instead=True),
)

_APPLE = Kind(
    name="apple",
    defaults={
        "label": "Apple",
        "issuer": "https://appleid.apple.com",
        "scopes": ["openid", "name", "email"],
        "response_mode": "form_post",
        "client_authentication": "client_secret_post",
        **_VERIFIED,
    },
    signs_its_secret=True,
    posts_user=True,
)

_ONELOGIN = Kind(
    name="onelogin",
    example="https://COMPANY.onelogin.com/oidc/2",
    defaults={"label": "OneLogin", "scopes": ["openid", "profile", "email", "groups"]},
)

_PING = Kind(
    name="ping",
    example="https://auth.pingone.com/ENVIRONMENT-ID/as",
    defaults={"label": "Ping Identity", "claims": {"email": ["email", "mail"]}},
)

KINDS: Final[Mapping[str, Kind]] = {
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
