"""Builds what identity headers need of a configuration: the group filter and the signing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import ConfigError
from authz_sidecar.identity.assertion import SigningKey, derive_signing_keys, signing_key_from_pem
from authz_sidecar.identity.groups import AllGroups, filter_by_names, filter_by_policies

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.types import Identity
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.errors import Problem
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.sealing import SecretKeys


def group_filter(
    config: Config, index: RouteIndex
) -> Callable[[Identity, Origin], tuple[str, ...]]:
    """Return the function that selects the groups a host receives (`headers.groups`)."""
    match config.headers.groups:
        case ("all",):
            return AllGroups()
        case ("policy",):
            return filter_by_policies(index)
        case names:
            return filter_by_names(names)


def signing_keys(
    config: Config, keys: SecretKeys, *, problems: tuple[Problem, ...]
) -> tuple[SigningKey, ...]:
    """Return the configured assertion keys, or keys derived from the secret keys.

    Raises `ConfigError` with `problems` and those of the keys, if there are any.
    """
    loaded, all_problems = [], list(problems)
    for index, pem in enumerate(config.assertion.signing_keys):
        try:
            loaded.append(signing_key_from_pem(pem.reveal().encode()))
        except ValueError as error:
            path = ("assertion", "signing_keys", index)
            all_problems.append(config.source_map.problem(str(error), *path))
    if all_problems:
        raise ConfigError(tuple(sorted(all_problems)))
    return tuple(loaded) or derive_signing_keys(keys)
