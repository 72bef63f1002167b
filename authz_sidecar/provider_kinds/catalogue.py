"""Every kind, in the order of the documentation. Sources: each provider's own reference; what they
document and what they send are not always the same, see `docs/providers.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from authz_sidecar.provider_kinds.kind import Kind, PlainOAuth, SignOut

if TYPE_CHECKING:
    from collections.abc import Mapping

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
