"""Rules within one identity provider: what its preset requires, and what contradicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.value_parsers import looks_like_private_key
from authz_sidecar.provider_presets import PROVIDER_PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import IdentityProvider
    from authz_sidecar.core.source_locations import RuleViolation

# Ours to set: they tie the answer to the attempt, or say where it goes (RFC 6749 section 4.1.1,
# RFC 7636, RFC 9101, OpenID Connect Core 3.1.2.1); and those that a route may set.
RESERVED_PARAMETERS = frozenset(
    [
        "client_id",
        "client_secret",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "client_assertion",
        "client_assertion_type",
        "login_hint",
        "id_token_hint",
        "dpop_jkt",
    ]
)


def check_provider(provider: IdentityProvider) -> Iterator[RuleViolation]:
    """Return what is wrong within one provider; paths start below it."""
    preset = PROVIDER_PRESETS[provider.type]
    if preset.oauth2 is None and "openid" not in provider.scopes:
        yield "must include `openid`", ("scopes",)
    if provider.require_verified_email and provider.allow_unverified_email:
        yield "contradicts `allow_unverified_email`", ("require_verified_email",)
    for name in provider.authorization_parameters:
        if name in RESERVED_PARAMETERS:
            yield f"`{name}` is a reserved parameter", ("authorization_parameters", name)
    yield from _check_client_key(provider)
    yield from _check_preset(provider)


def _check_client_key(provider: IdentityProvider) -> Iterator[RuleViolation]:
    key, method = provider.client_key, provider.client_authentication
    if key is None:
        if method == "private_key_jwt":
            yield "needs a `client_key`", ("client_authentication",)
        if provider.client_key_id is not None:
            yield "needs a `client_key`", ("client_key_id",)
        return
    if not looks_like_private_key(key.reveal()):
        yield "is not a private key in PEM", ("client_key",)
    if provider.client_secret is not None:
        yield "cannot be combined with `client_key`", ("client_secret",)
    if not PROVIDER_PRESETS[provider.type].secret_is_signed_jwt and method not in (
        None,
        "private_key_jwt",
    ):
        yield f"`{method}` does not use the `client_key`", ("client_authentication",)


def _check_preset(provider: IdentityProvider) -> Iterator[RuleViolation]:
    preset = PROVIDER_PRESETS[provider.type]
    if preset.secret_is_signed_jwt:
        for needed in ("client_key", "client_key_id", "team_id"):
            if getattr(provider, needed) is None and provider.client_secret is None:
                yield f"is required for `{preset.name}`", (needed,)
        if provider.response_mode != "form_post" and set(provider.scopes) != {"openid"}:
            yield (
                f"must be `form_post`: `{preset.name}` grants these scopes in no other mode",
                ("response_mode",),
            )
        if provider.client_authentication != "client_secret_post":
            yield f"must be `client_secret_post` for `{preset.name}`", ("client_authentication",)
    elif provider.team_id is not None:
        yield "applies to `apple` only", ("team_id",)
    if provider.api is not None and preset.claims_source == "openid":
        yield "applies to `github` and `azure` only", ("api",)
    if provider.allowed_tenants and preset.tenant_template(provider.issuer) is None:
        yield (
            "applies to `azure` with the issuer `common` or `organizations` only",
            ("allowed_tenants",),
        )
