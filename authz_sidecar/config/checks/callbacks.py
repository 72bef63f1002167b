"""Rules about the redirect URIs of identity providers: whether each says which it has, and whether
several may have the same (RFC 9700 section 4.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.credentials import asks_for_sign_in
from authz_sidecar.config.checks.headers import place_of
from authz_sidecar.provider_presets import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from authz_sidecar.config.schema import Config, IdentityProvider
    from authz_sidecar.core.source_locations import Found
    from authz_sidecar.errors import Problem


def unstated_callbacks(config: Config) -> Mapping[str, Problem]:
    """The providers among several that do not say which redirect URI they have, with what is wrong.

    The first release with `callback` meets them after an update, so nothing else stops for them.
    """
    if len(config.identity_providers) < 2:
        return {}
    moved = {
        name: _moved(name, base_path=config.server.base_path, origins=origins)
        for name, origins in _sign_in_origins(config).items()
    }
    return {
        name: config.positions.problem(
            "say `own` or `shared`: of several providers with one redirect URI, a hostile one gets the"
            f" codes of the others (mix-up, RFC 9700 section 4.4); {moved[name]}: register the"
            " new one at the provider, remove the old one there and say `callback: own`;"
            " `callback: shared` keeps the old one, for a provider that sends `iss` in its answers"
            " (RFC 9207)",
            *_path(name),
        )
        for name, provider in config.identity_providers.items()
        if provider.callback is None
    }


def callback_rules(config: Config) -> Iterator[Found]:
    """What does not go together among providers that share a redirect URI."""
    sharing = _sharing(config)
    issuers: dict[str, str] = {}
    for name, provider in sharing.items():
        if (other := issuers.setdefault(provider.issuer, name)) != name:
            yield f"`{other}` shares it and has the same issuer, say `own` for one", _path(name)
        kind = KINDS[provider.type]
        required = provider.authorization_response_iss == "required"
        if kind.plain_oauth is not None and not required:
            message = (
                f"`{kind.name}` promises nowhere that it sends `iss` in its answers, as has to be at"
                " a redirect URI that is shared: say `own`, or `authorization_response_iss:"
                " required` if it does"
            )
            yield message, _path(name)


def callback_warnings(config: Config) -> Iterator[Found]:
    for name, provider in config.identity_providers.items():
        if len(config.identity_providers) == 1 and provider.callback is None:
            origins = _sign_in_origins(config)[name]
            message = (
                f"{_moved(name, base_path=config.server.base_path, origins=origins)}: register the new one at the provider and say"
                " `callback: own`, or keep the old one with `callback: shared`"
            )
            yield message, ("identity_providers", name)
    for name, provider in _sharing(config).items():
        discovers = KINDS[provider.type].plain_oauth is None
        if discovers and provider.authorization_response_iss != "required":
            message = (
                "sign-in is refused unless the provider promises to send `iss`"
                " (`authorization_response_iss_parameter_supported` in its discovery document);"
                " where you know that it does, say `authorization_response_iss: required`"
            )
            yield message, _path(name)


def _sharing(config: Config) -> Mapping[str, IdentityProvider]:
    """The providers with `callback: shared`, where there are others beside them."""
    providers = config.identity_providers
    if len(providers) == 1:
        return {}
    return {name: provider for name, provider in providers.items() if provider.callback == "shared"}


def _moved(name: str, *, base_path: str, origins: Collection[str]) -> str:
    """What has become of a redirect URI, on the first of its hosts and the others."""
    first, *others = origins or ("https://HOST",)
    shared = f"{first}{base_path}/callback"
    elsewhere = f" (likewise on {', '.join(others[:2])}" if others else ""
    elsewhere += f" and {len(others) - 2} more" if len(others) > 2 else ""
    elsewhere += ")" if others else ""
    return f"the redirect URI was `{shared}` and is now `{shared}/{name}`{elsewhere}"


def _sign_in_origins(config: Config) -> Mapping[str, Collection[str]]:
    """By provider, the origins that it sends people back to, as they are written."""
    providers, central = config.identity_providers, config.server.auth_host
    if central is not None:
        return dict.fromkeys(providers, (str(central),))
    default = config.default_identity_provider
    alone = tuple(providers) if len(providers) == 1 else ()
    usual = alone if default is None else (default,)
    origins: dict[str, dict[str, None]] = {name: {} for name in providers}
    for route in config.routes:
        if asks_for_sign_in(route) and place_of(route) is not None:
            for name in route.identity_provider or usual:
                origins.get(name, {})[route.from_] = None
    return origins


def _path(name: str) -> tuple[str, str, str]:
    return ("identity_providers", name, "callback")
