"""Pomerium's `idp_*` settings as an identity provider of ours, and what remains to be done there.

Each kind becomes the kind of the same name; here is what differs between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.checks.providers import RESERVED_PARAMETERS
from authz_sidecar.config.value_parsers import issuer as checked_issuer
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.migrate.pomerium.go_values import says_nothing, texts
from authz_sidecar.migrate.pomerium.report import Ledger, translated, unsupported
from authz_sidecar.provider_presets import KINDS as OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = "https://idp.example.com"
CALLBACK = {"callback": "own"}
"""Pomerium's redirect URI is another one anyway, so each provider gets its own."""
_SECRET = "OIDC_CLIENT_SECRET"  # noqa: S105 -- the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`url` is Pomerium's default where ours has none. `remains` is what the operator still has to
    do; `decisive`, who may pass depends on it."""

    url: str | None = None
    slash: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    remains: str | None = None
    decisive: bool = False


KINDS: Mapping[str, Kind] = {
    "oidc": Kind(),
    "google": Kind(remains="Google sends no groups: policies that ask for them find none"),
    "azure": Kind(
        url="https://login.microsoftonline.com/common/v2.0",
        settings={"claims": {"user": "oid"}},
        remains="addresses are believed only with the optional claim `xms_edov`, or with"
        " `allow_unverified_email: true`: until then policies on `email` and `domain` find none."
        " Groups arrive as object ids",
        decisive=True,
    ),
    "okta": Kind(remains="groups arrive once the tenant's claim `groups` is configured"),
    "auth0": Kind(
        slash=True,
        remains="groups arrive once an action of the tenant emits them: set `claims.groups` to its"
        " claim",
    ),
    "cognito": Kind(),
    "gitlab": Kind(),
    "github": Kind(
        remains="`user` is the number of the account here, `groups` are `org` and `org/team`:"
        " policies that name users have to be rewritten",
        decisive=True,
    ),
    "keycloak": Kind(),
    "onelogin": Kind(
        url="https://openid-connect.onelogin.com/oidc",
        remains="OneLogin gives tenants an issuer of their own, `https://NAME.onelogin.com/oidc/2`",
    ),
    "ping": Kind(),
    "apple": Kind(
        settings={"client_secret": {"env": _SECRET}},
        remains="give `client_key`, `client_key_id` and `team_id` instead of `client_secret`, which"
        " has to be renewed every six months",
    ),
}


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
        filled_in = {"issuer": PLACEHOLDER, "client_id": "change-me", **CALLBACK}
        return Provider(name="idp", settings=filled_in)
    settings: dict[str, Any] = {
        "type": kind_name,
        "issuer": _issuer(kind_name, kind, options, ledger),
        "client_id": str(options.get("idp_client_id") or "change-me"),
        **CALLBACK,
        **kind.settings,
    }
    if settings["issuer"] is None:
        del settings["issuer"]
    if secret := _secret(options, _SECRET):
        settings["client_secret"] = secret
    if scopes := texts(options.get("idp_scopes")):
        settings["scopes"] = _scopes(kind_name, scopes, ledger)
    if parameters := _parameters(options.get("idp_request_params"), ledger):
        settings["authorization_parameters"] = parameters
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


def _issuer(name: str, kind: Kind, options: Mapping[str, Any], ledger: Ledger) -> str | None:
    """None where our kind knows it."""
    known = OURS[name].defaults.get("issuer")
    given = str(options.get("idp_provider_url") or "")
    url = given or kind.url
    if url is None and known is not None:
        return None
    if url is None:
        ledger.remark(f"`{name}` has no `idp_provider_url`: fill in its issuer")
        return PLACEHOLDER
    if OURS[name].tenant_template(url) is not None:
        ledger.remark(
            "everybody with an account at any organisation can sign in: name your tenant in the"
            f" issuer, `{OURS[name].example}`, or several in `allowed_tenants`"
        )
    if kind.slash and not url.endswith("/"):
        url += "/"
    try:
        issuer = checked_issuer(url)
    except (ValueError, MalformedUrl) as wrong:
        message = f"{wrong}: fill in an issuer"
        ledger.note(("idp_provider_url",), unsupported(message, decisive=True), given)
        return PLACEHOLDER
    return None if issuer == known else issuer


def _scopes(name: str, scopes: list[str], ledger: Ledger) -> list[str]:
    scopes = list(dict.fromkeys(scopes))
    if "openid" in scopes or OURS[name].plain_oauth is not None:
        return scopes
    handling = translated("identity_providers; `openid` was added, sign-in needs it")
    ledger.note(("idp_scopes",), handling, scopes)
    return ["openid", *scopes]


def _parameters(given: object, ledger: Ledger) -> dict[str, str]:
    """What is added to the request for sign-in, less what would break it."""
    if says_nothing(given):
        return {}
    parameters = given if isinstance(given, dict) else {}
    kept = {
        str(name): str(value)
        for name, value in parameters.items()
        if str(name) and str(name) not in RESERVED_PARAMETERS and isinstance(value, str | int)
    }
    left = [str(name) for name in parameters if str(name) not in kept]
    if left or not isinstance(given, dict):
        what = ", ".join(f"`{name:.60}`" for name in left) or "what is no map"
        message = f"{what} cannot be set here, the rest is in `authorization_parameters`"
        ledger.note(("idp_request_params",), unsupported(message), given)
    return kept
