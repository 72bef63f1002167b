"""Rules about the redirect URIs of identity providers: each of several has to state whether its URI
is its own or shared, and only some may share one (RFC 9700 section 4.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.credentials import uses_login
from authz_sidecar.config.checks.headers import route_origin
from authz_sidecar.provider_presets import PROVIDER_PRESETS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from authz_sidecar.config.schema import Config, IdentityProvider
    from authz_sidecar.core.source_locations import RuleViolation
    from authz_sidecar.errors import Problem


def find_missing_callbacks(config: Config) -> Mapping[str, Problem]:
    """Return a problem for each of several providers that does not set `callback`, by provider
    name.

    A configuration from before `callback` existed has these problems after an update, so `serve`
    starts in spite of them.
    """
    if len(config.identity_providers) < 2:
        return {}
    uri_changes = {
        name: _describe_uri_change(name, base_path=config.server.base_path, origins=origins)
        for name, origins in _login_origins(config).items()
    }
    return {
        name: config.source_map.problem(
            "must be `own` or `shared`: if several providers share one redirect URI, a hostile one can"
            " obtain the authorization codes of the others (mix-up, RFC 9700 section 4.4);"
            f" {uri_changes[name]}: register the new one at the provider, remove the old one there"
            " and set `callback: own`; `callback: shared` keeps the old one, for a provider that"
            " sends `iss` in its authorization responses (RFC 9207)",
            *_callback_path(name),
        )
        for name, provider in config.identity_providers.items()
        if provider.callback is None
    }


def check_callbacks(config: Config) -> Iterator[RuleViolation]:
    """Return the contradictions among providers that share a redirect URI (RFC 9700 section
    4.4.2)."""
    sharing_providers = _providers_sharing_uri(config)
    issuers: dict[str, str] = {}
    for name, provider in sharing_providers.items():
        if (other := issuers.setdefault(provider.issuer, name)) != name:
            yield (
                f"`{other}` has the same redirect URI and the same issuer, set `own` for one of them",
                _callback_path(name),
            )
        preset = PROVIDER_PRESETS[provider.type]
        required = provider.authorization_response_iss == "required"
        if preset.oauth2 is not None and not required:
            message = (
                f"`{preset.name}` does not promise to send `iss` in its authorization responses, which a"
                " shared redirect URI requires: set `own`, or `authorization_response_iss:"
                " required` if it does send it"
            )
            yield message, _callback_path(name)


def find_callback_warnings(config: Config) -> Iterator[RuleViolation]:
    """Return warnings about a changed redirect URI, and about sharing that depends on `iss` (RFC
    9207)."""
    for name, provider in config.identity_providers.items():
        if len(config.identity_providers) == 1 and provider.callback is None:
            origins = _login_origins(config)[name]
            message = (
                f"{_describe_uri_change(name, base_path=config.server.base_path, origins=origins)}: register the new one at the provider and set"
                " `callback: own`, or keep the old one with `callback: shared`"
            )
            yield message, ("identity_providers", name)
    for name, provider in _providers_sharing_uri(config).items():
        discovers = PROVIDER_PRESETS[provider.type].oauth2 is None
        if discovers and provider.authorization_response_iss != "required":
            message = (
                "sign-in is refused unless the provider promises to send `iss`"
                " (`authorization_response_iss_parameter_supported` in its discovery document);"
                " if you know that it does, set `authorization_response_iss: required`"
            )
            yield message, _callback_path(name)


def _providers_sharing_uri(config: Config) -> Mapping[str, IdentityProvider]:
    """The providers with `callback: shared`, where there are others beside them."""
    providers = config.identity_providers
    if len(providers) == 1:
        return {}
    return {name: provider for name, provider in providers.items() if provider.callback == "shared"}


def _describe_uri_change(name: str, *, base_path: str, origins: Collection[str]) -> str:
    """What has become of a redirect URI, on the first of its hosts and the others."""
    first, *others = origins or ("https://HOST",)
    shared = f"{first}{base_path}/callback"
    other_hosts = f" (likewise on {', '.join(others[:2])}" if others else ""
    other_hosts += f" and {len(others) - 2} more" if len(others) > 2 else ""
    other_hosts += ")" if others else ""
    return f"the redirect URI was `{shared}` and is now `{shared}/{name}`{other_hosts}"


def _login_origins(config: Config) -> Mapping[str, Collection[str]]:
    """By provider, the origins that it sends people back to, as they are written."""
    providers, central = config.identity_providers, config.server.auth_host
    if central is not None:
        return dict.fromkeys(providers, (str(central),))
    default = config.default_identity_provider
    only_provider = tuple(providers) if len(providers) == 1 else ()
    default_providers = only_provider if default is None else (default,)
    origins: dict[str, dict[str, None]] = {name: {} for name in providers}
    for route in config.routes:
        if uses_login(route) and route_origin(route) is not None:
            for name in route.identity_provider or default_providers:
                origins.get(name, {})[route.from_] = None
    return origins


def _callback_path(name: str) -> tuple[str, str, str]:
    return ("identity_providers", name, "callback")
