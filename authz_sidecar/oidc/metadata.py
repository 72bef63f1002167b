"""Provider metadata (OpenID Connect Discovery 1.0), checked before use.

Pure: takes a decoded document, returns a `ProviderMetadata` or raises `ProviderUnavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.errors import ProviderUnavailable

if TYPE_CHECKING:
    from authz_sidecar.oidc.id_token import TenantIssuers
    from authz_sidecar.provider_presets import OAuth2Endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """The metadata of one provider that this client uses (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str | None
    """None when the provider signs nothing."""
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    requires_pushed_requests: bool = False
    promises_iss: bool = False
    """Whether every authorization response carries `iss` (RFC 9207 section 3)."""
    token_endpoint_authentication: tuple[str, ...] = ("client_secret_basic",)


def discovery_url(issuer: str) -> str:
    """Return the URL of the issuer's discovery document: a trailing slash of the issuer is dropped
    (OpenID Connect Discovery 1.0, section 4.1)."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"


def static_metadata(plain: OAuth2Endpoints, *, issuer: str) -> ProviderMetadata:
    """Return the metadata of an OAuth 2.0 provider that has no discovery document."""
    base = issuer.removesuffix("/")
    return ProviderMetadata(
        issuer=f"{base}{plain.issuer}",
        authorization_endpoint=f"{base}{plain.authorization}",
        token_endpoint=f"{base}{plain.token}",
        jwks_uri=None,
        token_endpoint_authentication=("client_secret_post",),
    )


def parse_metadata(
    document: object, *, issuer: str, tenants: TenantIssuers | None = None
) -> ProviderMetadata:
    """Return the metadata in a discovery document. Raises `ProviderUnavailable` when it is not
    valid, or names another issuer (OpenID Connect Discovery 1.0, section 4.3)."""
    if not isinstance(document, Mapping):
        raise ProviderUnavailable(f"the discovery document of `{issuer}` is no JSON object")
    # Discovery section 4.3: "MUST exactly match". A near miss is another provider, or a typing
    # error that would surface much later as a refused token. Where each tenant has an issuer of its
    # own, the document of all of them has the template instead.
    if document.get("issuer") != (issuer if tenants is None else tenants.template):
        raise ProviderUnavailable(
            f"the provider at `{issuer}` calls itself `{document.get('issuer')!s:.200}`;"
            " write the issuer exactly so"
        )
    methods = document.get("token_endpoint_auth_methods_supported")
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint"),
        token_endpoint=_endpoint(document, "token_endpoint"),
        jwks_uri=_endpoint(document, "jwks_uri"),
        userinfo_endpoint=_optional(document, "userinfo_endpoint"),
        end_session_endpoint=_optional(document, "end_session_endpoint"),
        pushed_authorization_request_endpoint=_optional(
            document, "pushed_authorization_request_endpoint"
        ),
        requires_pushed_requests=document.get("require_pushed_authorization_requests") is True,
        promises_iss=document.get("authorization_response_iss_parameter_supported") is True,
        token_endpoint_authentication=(
            tuple(str(method) for method in methods)
            if isinstance(methods, list) and methods
            else ("client_secret_basic",)  # Discovery section 3: the default when omitted
        ),
    )


def _optional(document: Mapping[str, object], name: str) -> str | None:
    return None if document.get(name) is None else _endpoint(document, name)


def _endpoint(document: Mapping[str, object], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str):
        raise ProviderUnavailable(f"the provider's `{name}` is missing")
    try:
        origin, _ = parse_url(url)
    except MalformedUrl as error:
        raise ProviderUnavailable(f"the provider's `{name}` is no URL: {error}") from error
    if origin.scheme != "https" and not origin.is_loopback:
        raise ProviderUnavailable(f"the provider's `{name}` is not https: `{url[:200]}`")
    return url
