"""What the app is told about who asks: which groups, signed with which keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import ConfigError
from authz_sidecar.identity.assertion import SigningKey, signing_key_from_pem, signing_keys_from
from authz_sidecar.identity.groups import AllGroups, groups_in_policies, groups_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.types import Identity
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.errors import Problem
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.sealing import SecretKeys


def groups_told(config: Config, index: RouteIndex) -> Callable[[Identity, Origin], tuple[str, ...]]:
    match config.headers.groups:
        case ("all",):
            return AllGroups()
        case ("policy",):
            return groups_in_policies(index)
        case names:
            return groups_named(names)


def signing_keys(
    config: Config, keys: SecretKeys, *, problems: tuple[Problem, ...]
) -> tuple[SigningKey, ...]:
    """The last things that can be wrong with a configuration, told together with `problems`."""
    found, wrong = [], list(problems)
    for place, pem in enumerate(config.assertion.signing_keys):
        try:
            found.append(signing_key_from_pem(pem.reveal().encode()))
        except ValueError as error:
            path = ("assertion", "signing_keys", place)
            wrong.append(config.positions.problem(str(error), *path))
    if wrong:
        raise ConfigError(tuple(sorted(wrong)))
    return tuple(found) or signing_keys_from(keys)
