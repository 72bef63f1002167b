"""Rules about who can call: providers and issuers of tokens, and that every route finds somebody to
ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.providers import provider_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.core.source_locations import Found

MOST_LEEWAY = 300.0
MOST_CACHE = 300.0

# What else our cookies are called after their base name: a provider's session has its cookie there.
_RESERVED_PROVIDERS = ("flow", "loop")

_OF_SIGNED_TOKENS = frozenset({"jwks_uri", "algorithms", "types", "bearer_token_file"})


def caller_rules(config: Config) -> Iterator[Found]:
    yield from _providers(config)
    yield from _token_issuers(config)
    yield from _identity_of_routes(config)


def _providers(config: Config) -> Iterator[Found]:
    providers, default = config.identity_providers, config.default_identity_provider
    for name, provider in providers.items():
        if name.partition("-")[0] in _RESERVED_PROVIDERS:
            yield (
                "this name is taken by a cookie of ours, choose another",
                (
                    "identity_providers",
                    name,
                ),
            )
        for message, key in provider_problems(provider):
            yield message, ("identity_providers", name, *key)
    if default is not None and default not in providers:
        known = ", ".join(f"`{name}`" for name in sorted(providers)) or "none"
        yield (
            f"there is no identity provider `{default}`, configured are: {known}",
            ("default_identity_provider",),
        )
    homeless = next(
        (
            route
            for route in config.routes
            if asks_for_sign_in(route)
            and not route.identity_provider
            and (providers or not _takes_machines(route))
        ),
        None,
    )
    if homeless is None or default is not None or len(providers) == 1:
        return
    route = f"the route `{homeless.name or homeless.from_}`"
    if providers:
        yield (
            f"`default_identity_provider` is required with several providers, {route} names none",
            ("identity_providers",),
        )
    else:
        yield (
            f"{route} needs somebody to be signed in, and there is no identity provider",
            ("identity_providers",),
        )


def _token_issuers(config: Config) -> Iterator[Found]:
    for name, issuer in config.token_issuers.items():
        at = ("token_issuers", name)
        if name in config.identity_providers:
            yield "is the name of an identity provider, too: people or programs?", at
        if issuer.leeway > MOST_LEEWAY:
            yield "is longer than `5m`", (*at, "leeway")
        if issuer.max_lifetime <= 0:
            yield "must be longer than nothing", (*at, "max_lifetime")
        asked = issuer.introspection
        if asked is not None:
            if not 0 <= asked.cache <= MOST_CACHE:
                yield "must be `5m` at most", (*at, "introspection", "cache")
            for key in _OF_SIGNED_TOKENS & issuer.model_fields_set:
                yield "is of no use with `introspection`, which reads no token", (*at, key)
        elif issuer.bearer_token_file is not None and issuer.issuer.startswith("http://"):
            yield "would be sent without encryption", (*at, "bearer_token_file")


def asks_for_sign_in(route: RouteConfig) -> bool:
    return not route.allow_public_unauthenticated_access or route.identity == "optional"


def _takes_machines(route: RouteConfig) -> bool:
    """Where nobody can sign in, there may still be somebody to let in."""
    return bool(route.token_issuers) or route.service_accounts or route.basic_auth


def _identity_of_routes(config: Config) -> Iterator[Found]:
    message = (
        "is for routes with `allow_public_unauthenticated_access: true`, the policy of all others"
        " decides about identity"
    )
    for at, route in enumerate(config.routes):
        if route.identity is not None and not route.allow_public_unauthenticated_access:
            yield message, ("routes", at, "identity")
