"""Converts Pomerium's `idp_*` settings to an identity provider, with what remains to be done at it.

Each kind becomes the kind of the same name; this module has the differences between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.checks.providers import RESERVED_PARAMETERS
from authz_sidecar.config.value_parsers import parse_issuer as checked_issuer
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.migrate.pomerium.go_values import is_unset, parse_string_list
from authz_sidecar.migrate.pomerium.report import ConversionReport, translated, unsupported
from authz_sidecar.provider_presets import PROVIDER_PRESETS as PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER_ISSUER = "https://idp.example.com"
OWN_CALLBACK = {"callback": "own"}
"""Pomerium's redirect URI changes in any case, so each provider gets its own."""
_SECRET_VARIABLE = "OIDC_CLIENT_SECRET"  # noqa: S105 -- the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConversion:
    """The differences of one kind of provider.

    `default_url`: Pomerium's default issuer where ours has none.
    `remaining_work`: what the operator still has to do.
    `decisive`: whether access depends on it.
    """

    default_url: str | None = None
    needs_trailing_slash: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    remaining_work: str | None = None
    decisive: bool = False


PROVIDER_CONVERSIONS: Mapping[str, ProviderConversion] = {
    "oidc": ProviderConversion(),
    "google": ProviderConversion(
        remaining_work="Google sends no groups: policies that ask for them find none"
    ),
    "azure": ProviderConversion(
        default_url="https://login.microsoftonline.com/common/v2.0",
        settings={"claims": {"user": "oid"}},
        remaining_work="addresses are believed only with the optional claim `xms_edov`, or with"
        " `allow_unverified_email: true`: until then policies on `email` and `domain` find none."
        " Groups arrive as object ids",
        decisive=True,
    ),
    "okta": ProviderConversion(
        remaining_work="groups arrive once the tenant's claim `groups` is configured"
    ),
    "auth0": ProviderConversion(
        needs_trailing_slash=True,
        remaining_work="groups arrive once an action of the tenant emits them: set `claims.groups` to its"
        " claim",
    ),
    "cognito": ProviderConversion(),
    "gitlab": ProviderConversion(),
    "github": ProviderConversion(
        remaining_work="`user` is the number of the account here, `groups` are `org` and `org/team`:"
        " policies that name users have to be rewritten",
        decisive=True,
    ),
    "keycloak": ProviderConversion(),
    "onelogin": ProviderConversion(
        default_url="https://openid-connect.onelogin.com/oidc",
        remaining_work="OneLogin gives tenants an issuer of their own, `https://NAME.onelogin.com/oidc/2`",
    ),
    "ping": ProviderConversion(),
    "apple": ProviderConversion(
        settings={"client_secret": {"env": _SECRET_VARIABLE}},
        remaining_work="give `client_key`, `client_key_id` and `team_id` instead of `client_secret`, which"
        " has to be renewed every six months",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedProvider:
    """An identity provider by its name."""

    name: str
    settings: dict[str, Any]


def default_provider(options: Mapping[str, Any], report: ConversionReport) -> ConvertedProvider:
    """Return the provider of all routes; one to be completed where Pomerium used its hosted one."""
    provider_type = str(options.get("idp_provider") or "hosted").lower()
    conversion = PROVIDER_CONVERSIONS.get(provider_type)
    if conversion is None:
        if "idp_provider" in options:
            message = f"there is no provider of kind `{provider_type}` here: fill in your own"
            report.record(
                ("idp_provider",), unsupported(message, decisive=True), options["idp_provider"]
            )
        else:
            report.add_remark(
                "no identity provider is configured, Pomerium used its vendor's: register a client"
                " at your own provider and fill in `identity_providers.idp`"
            )
        placeholder_settings = {
            "issuer": PLACEHOLDER_ISSUER,
            "client_id": "change-me",
            **OWN_CALLBACK,
        }
        return ConvertedProvider(name="idp", settings=placeholder_settings)
    settings: dict[str, Any] = {
        "type": provider_type,
        "issuer": _issuer(provider_type, conversion, options, report),
        "client_id": str(options.get("idp_client_id") or "change-me"),
        **OWN_CALLBACK,
        **conversion.settings,
    }
    if settings["issuer"] is None:
        del settings["issuer"]
    if secret := _secret(options, _SECRET_VARIABLE):
        settings["client_secret"] = secret
    if scopes := parse_string_list(options.get("idp_scopes")):
        settings["scopes"] = _scopes(provider_type, scopes, report)
    if parameters := _parameters(options.get("idp_request_params"), report):
        settings["authorization_parameters"] = parameters
    if conversion.remaining_work is not None:
        report.record(
            ("idp_provider",),
            translated(
                f"identity_providers.{provider_type}; {conversion.remaining_work}",
                decisive=conversion.decisive,
            ),
            options["idp_provider"],
        )
    return ConvertedProvider(name=provider_type, settings=settings)


def route_provider(
    route: Mapping[str, Any], default: ConvertedProvider, other_providers: list[ConvertedProvider]
) -> ConvertedProvider | None:
    """Return the provider of a route with another client, shared by the routes with the same
    client."""
    client = route.get("idp_client_id")
    if is_unset(client) and is_unset(route.get("idp_client_secret")):
        return None
    settings = default.settings | {"client_id": str(client or default.settings["client_id"])}
    for other in other_providers:
        if other.settings["client_id"] == settings["client_id"]:
            return other
    number = len(other_providers) + 2
    if secret := _secret(route, f"{_SECRET_VARIABLE}_{number}"):
        settings["client_secret"] = secret
    provider = ConvertedProvider(name=f"{default.name}-{number}", settings=settings)
    other_providers.append(provider)
    return provider


def _secret(options: Mapping[str, Any], variable: str) -> dict[str, str] | None:
    if not is_unset(options.get("idp_client_secret")):
        return {"env": variable}
    if not is_unset(file := options.get("idp_client_secret_file")):
        return {"file": str(file)}
    return None


def _issuer(
    name: str, conversion: ProviderConversion, options: Mapping[str, Any], report: ConversionReport
) -> str | None:
    """None where our kind knows it."""
    known = PRESETS[name].defaults.get("issuer")
    given = str(options.get("idp_provider_url") or "")
    url = given or conversion.default_url
    if url is None and known is not None:
        return None
    if url is None:
        report.add_remark(f"`{name}` has no `idp_provider_url`: fill in its issuer")
        return PLACEHOLDER_ISSUER
    if PRESETS[name].tenant_template(url) is not None:
        report.add_remark(
            "accounts of every organisation can sign in: name your tenant in the"
            f" issuer, `{PRESETS[name].example}`, or several in `allowed_tenants`"
        )
    if conversion.needs_trailing_slash and not url.endswith("/"):
        url += "/"
    try:
        issuer = checked_issuer(url)
    except (ValueError, MalformedUrl) as error:
        message = f"{error}: fill in an issuer"
        report.record(("idp_provider_url",), unsupported(message, decisive=True), given)
        return PLACEHOLDER_ISSUER
    return None if issuer == known else issuer


def _scopes(name: str, scopes: list[str], report: ConversionReport) -> list[str]:
    scopes = list(dict.fromkeys(scopes))
    if "openid" in scopes or PRESETS[name].oauth2 is not None:
        return scopes
    disposition = translated("identity_providers; `openid` was added, sign-in needs it")
    report.record(("idp_scopes",), disposition, scopes)
    return ["openid", *scopes]


def _parameters(given: object, report: ConversionReport) -> dict[str, str]:
    """The additional parameters of the authorization request, without reserved ones."""
    if is_unset(given):
        return {}
    parameters = given if isinstance(given, dict) else {}
    accepted = {
        str(name): str(value)
        for name, value in parameters.items()
        if str(name) and str(name) not in RESERVED_PARAMETERS and isinstance(value, str | int)
    }
    dropped = [str(name) for name in parameters if str(name) not in accepted]
    if dropped or not isinstance(given, dict):
        subject = ", ".join(f"`{name:.60}`" for name in dropped) or "what is no map"
        message = f"{subject} cannot be set here, the rest is in `authorization_parameters`"
        report.record(("idp_request_params",), unsupported(message), given)
    return accepted
