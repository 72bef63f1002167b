"""Pomerium's `idp_*` settings as an identity provider of ours, and what remains to be done there.

Every kind is written as `type: oidc`: what is particular about one is spelled out in its claims,
scopes and response mode.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.grammar import issuer as checked_issuer
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.importing.ledger import Ledger, translated, unsupported
from authz_sidecar.importing.values import says_nothing, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = "https://idp.example.com"
_SECRET = "OIDC_CLIENT_SECRET"  # noqa: S105 -- the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`url` is the default issuer. `remains` is what the operator still has to do."""

    url: str | None = None
    slash: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    remains: str | None = None
    decisive: bool = False


KINDS: Mapping[str, Kind] = {
    "oidc": Kind(),
    "google": Kind(
        url="https://accounts.google.com",
        remains="Google sends no groups: policies that ask for them find none",
    ),
    "azure": Kind(
        settings={"claims": {"user": "oid"}},
        remains="groups arrive as object ids, and none at all where a user has more than 200",
    ),
    "okta": Kind(remains="groups arrive once the tenant's claim `groups` is configured"),
    "auth0": Kind(
        slash=True,
        remains="groups arrive once an action of the tenant emits them: set `claims.groups` to its"
        " claim",
    ),
    "cognito": Kind(settings={"claims": {"groups": "cognito:groups"}}),
    "gitlab": Kind(
        url="https://gitlab.com", remains="add the scope that makes your GitLab send groups"
    ),
    "github": Kind(
        url="https://github.com/login/oauth",
        remains="GitHub speaks OAuth 2.0 and not OpenID Connect: nobody can sign in before it is"
        " reached through a provider that speaks both, such as Dex or Keycloak",
        decisive=True,
    ),
    "onelogin": Kind(
        url="https://openid-connect.onelogin.com/oidc",
        remains="OneLogin gives tenants an issuer of their own, `https://NAME.onelogin.com/oidc/2`",
    ),
    "ping": Kind(settings={"claims": {"email": "mail"}}),
    "apple": Kind(
        url="https://appleid.apple.com",
        settings={"response_mode": "form_post", "scopes": ["openid", "name", "email"]},
        remains="Apple's client secret is a token that you have to renew every six months",
    ),
}

_COMMON = "https://login.microsoftonline.com/common/v2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    name: str
    settings: dict[str, Any]


def default_provider(options: Mapping[str, Any], ledger: Ledger) -> Provider:
    """The provider of the whole installation; one to be filled in where Pomerium used its own."""
    kind_name = str(options.get("idp_provider") or "hosted").lower()
    kind = KINDS.get(kind_name)
    if kind is None:
        if "idp_provider" in options:
            message = f"there is no provider of kind `{kind_name}` here: fill in your own"
            ledger.note(
                ("idp_provider",), unsupported(message, decisive=True), options["idp_provider"]
            )
        else:
            ledger.remark(
                "no identity provider is configured, Pomerium used its vendor's: register a client"
                " at your own provider and fill in `identity_providers.idp`"
            )
        return Provider(name="idp", settings={"issuer": PLACEHOLDER, "client_id": "change-me"})
    settings: dict[str, Any] = {
        "issuer": _issuer(kind_name, kind, options, ledger),
        "client_id": str(options.get("idp_client_id") or "change-me"),
    }
    if secret := _secret(options, _SECRET):
        settings["client_secret"] = secret
    settings |= kind.settings
    if scopes := texts(options.get("idp_scopes")):
        settings["scopes"] = _scopes(scopes, ledger)
    if kind.remains is not None:
        ledger.note(
            ("idp_provider",),
            translated(f"identity_providers.{kind_name}; {kind.remains}", decisive=kind.decisive),
            options["idp_provider"],
        )
    return Provider(name=kind_name, settings=settings)


def route_provider(
    route: Mapping[str, Any], default: Provider, others: list[Provider]
) -> Provider | None:
    """Another client at the same provider, shared by the routes that name the same one."""
    client = route.get("idp_client_id")
    if says_nothing(client) and says_nothing(route.get("idp_client_secret")):
        return None
    settings = default.settings | {"client_id": str(client or default.settings["client_id"])}
    for other in others:
        if other.settings["client_id"] == settings["client_id"]:
            return other
    number = len(others) + 2
    if secret := _secret(route, f"{_SECRET}_{number}"):
        settings["client_secret"] = secret
    provider = Provider(name=f"{default.name}-{number}", settings=settings)
    others.append(provider)
    return provider


def _secret(options: Mapping[str, Any], variable: str) -> dict[str, str] | None:
    if not says_nothing(options.get("idp_client_secret")):
        return {"env": variable}
    if not says_nothing(file := options.get("idp_client_secret_file")):
        return {"file": str(file)}
    return None


def _issuer(name: str, kind: Kind, options: Mapping[str, Any], ledger: Ledger) -> str:
    given = str(options.get("idp_provider_url") or "")
    if name == "azure" and (not given or "/common" in given):
        ledger.remark(
            "Azure's `common` tenant signs with the issuer of each user's own tenant: name yours,"
            f" `{_COMMON.replace('common', 'TENANT')}`, in `identity_providers.azure.issuer`"
        )
        return given or _COMMON
    url = given or kind.url
    if url is None:
        ledger.remark(f"`{name}` has no `idp_provider_url`: fill in its issuer")
        return PLACEHOLDER
    if kind.slash and not url.endswith("/"):
        url += "/"
    try:
        return checked_issuer(url)
    except (ValueError, MalformedUrl) as wrong:
        message = f"{wrong}: fill in an issuer"
        ledger.note(("idp_provider_url",), unsupported(message, decisive=True), given)
        return PLACEHOLDER


def _scopes(scopes: list[str], ledger: Ledger) -> list[str]:
    scopes = list(dict.fromkeys(scopes))
    if "openid" in scopes:
        return scopes
    handling = translated("identity_providers; `openid` was added, sign-in needs it")
    ledger.note(("idp_scopes",), handling, scopes)
    return ["openid", *scopes]
