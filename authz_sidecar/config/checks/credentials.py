"""Rules about the sources of identity: providers, token issuers, and that every route has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.providers import check_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.core.source_locations import RuleViolation

MAX_LEEWAY_SECONDS = 300.0
MAX_INTROSPECTION_CACHE_SECONDS = 300.0

# Suffixes of our other cookies; a provider's session cookie has the provider's name there.
_RESERVED_NAME_PREFIXES = ("flow", "loop")

_JWT_ONLY_KEYS = frozenset({"jwks_uri", "algorithms", "types", "bearer_token_file"})


def check_credentials(config: Config) -> Iterator[RuleViolation]:
    """Return what is wrong with providers, token issuers and the routes that use them."""
    yield from _check_providers(config)
    yield from _check_token_issuers(config)
    yield from _check_route_identity(config)


def _check_providers(config: Config) -> Iterator[RuleViolation]:
    providers, default = config.identity_providers, config.default_identity_provider
    for name, provider in providers.items():
        if name.partition("-")[0] in _RESERVED_NAME_PREFIXES:
            yield (
                "this name is reserved for a cookie of the sidecar, choose another",
                (
                    "identity_providers",
                    name,
                ),
            )
        for message, key in check_provider(provider):
            yield message, ("identity_providers", name, *key)
    if default is not None and default not in providers:
        provider_names = ", ".join(f"`{name}`" for name in sorted(providers)) or "none"
        yield (
            f"there is no identity provider `{default}`, configured are: {provider_names}",
            ("default_identity_provider",),
        )
    without_provider = next(
        (
            route
            for route in config.routes
            if uses_login(route)
            and not route.identity_provider
            and (providers or not _accepts_credentials(route))
        ),
        None,
    )
    if without_provider is None or default is not None or len(providers) == 1:
        return
    route = f"the route `{without_provider.name or without_provider.from_}`"
    if providers:
        yield (
            f"`default_identity_provider` is required with several providers, {route} names none",
            ("identity_providers",),
        )
    else:
        yield (
            f"{route} requires sign-in, but there is no identity provider",
            ("identity_providers",),
        )


def _check_token_issuers(config: Config) -> Iterator[RuleViolation]:
    for name, issuer in config.token_issuers.items():
        path = ("token_issuers", name)
        if name in config.identity_providers:
            yield "has the same name as an identity provider, choose another", path
        if issuer.leeway > MAX_LEEWAY_SECONDS:
            yield "must be at most `5m`", (*path, "leeway")
        if issuer.max_lifetime <= 0:
            yield "must be greater than zero", (*path, "max_lifetime")
        introspection = issuer.introspection
        if introspection is not None:
            if not 0 <= introspection.cache <= MAX_INTROSPECTION_CACHE_SECONDS:
                yield "must be at most `5m`", (*path, "introspection", "cache")
            for key in _JWT_ONLY_KEYS & issuer.model_fields_set:
                yield (
                    "has no effect with `introspection`: the issuer verifies the token",
                    (*path, key),
                )
        elif issuer.bearer_token_file is not None and issuer.issuer.startswith("http://"):
            yield "would be sent without encryption", (*path, "bearer_token_file")


def uses_login(route: RouteConfig) -> bool:
    """Whether a route ever looks for a session: it is protected, or its identity is optional."""
    return not route.allow_public_unauthenticated_access or route.identity == "optional"


def _accepts_credentials(route: RouteConfig) -> bool:
    """Whether requests can be authenticated without a sign-in."""
    return bool(route.token_issuers) or route.service_accounts or route.basic_auth


def _check_route_identity(config: Config) -> Iterator[RuleViolation]:
    message = (
        "applies to routes with `allow_public_unauthenticated_access: true` only: on other routes the"
        " policy decides who must be signed in"
    )
    for index, route in enumerate(config.routes):
        if route.identity is not None and not route.allow_public_unauthenticated_access:
            yield message, ("routes", index, "identity")
