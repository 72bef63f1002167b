"""The configuration of one provider, as this package uses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from authz_sidecar.login.claims import ClaimRules
from authz_sidecar.oidc.id_token import TenantIssuers
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.provider_presets import OPENID, ProviderPreset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.oidc.client_key import ClientKey

METADATA_FRESH_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """The configuration of one provider.

    `kind`: the preset of its vendor.
    `label`: the name on pages; None uses `name`.
    `api`: the base URL of its API; None uses the preset's.
    `callback`: the kind of redirect URI; None when the configuration leaves it out.
    `client_authentication`: None chooses by the key or secret there is and the methods the provider
    supports, `client_secret_basic` before `client_secret_post`.
    """

    name: str
    issuer: str
    client_id: str
    kind: ProviderPreset = OPENID
    label: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    client_key: ClientKey | None = None
    client_assertion_audience: Literal["issuer", "token_endpoint"] | None = None
    team_id: str | None = None
    api: str | None = None
    allowed_tenants: tuple[str, ...] = ()
    authorization_parameters: Mapping[str, str] = field(default_factory=dict)
    pushed_authorization_requests: Literal["auto", "required", "never"] = "auto"
    response_mode: Literal["query", "form_post"] = "query"
    callback: Literal["own", "shared"] | None = None
    authorization_response_iss: Literal["auto", "required"] = "auto"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claims: ClaimRules = field(default_factory=ClaimRules)
    algorithms: tuple[str, ...] = ALGORITHMS
    client_authentication: (
        Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] | None
    ) = None

    @property
    def tenants(self) -> TenantIssuers | None:
        """The tenants whose tokens are accepted, for a multi-tenant provider; None for others."""
        template = self.kind.tenant_template(self.issuer)
        if template is None:
            return None
        return TenantIssuers(template=template, allowed=frozenset(self.allowed_tenants))

    def issues(self, issuer: str | None) -> bool:
        """Whether tokens of this issuer are accepted."""
        tenants = self.tenants
        return issuer == self.issuer if tenants is None else tenants.accepts(issuer)
