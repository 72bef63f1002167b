"""Reads a configuration for its rules alone. Secrets and stores may be missing: whoever tests
policies, on a laptop or in CI, has none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.load import examine
from authz_sidecar.errors import ConfigError
from authz_sidecar.identity.headers import managed_names, protected_names, templated_names
from authz_sidecar.routes_from_config import certificate_header, ruleset

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.routes import RouteIndex

# Problems begin with the path of what they are about.
_NOTHING_TO_DO_WITH_RULES = re.compile(
    r"(?:secret_keys|sessions|assertion|identity_providers\.[^:]*\.client_(?:secret|key))\b"
)


@dataclass(frozen=True, slots=True)
class Rules:
    """`names` are the headers that no client may bring."""

    config: Config
    index: RouteIndex
    names: ProtectedNames


def load_rules(path: Path) -> Rules:
    """Raises `ConfigError` with every problem that rules depend on."""
    examined = examine(path, env=os.environ)
    problems = {
        problem
        for problem in examined.problems
        if not _NOTHING_TO_DO_WITH_RULES.match(problem.message)
    }
    config = examined.config or examined.partial
    if config is None:
        raise ConfigError(examined.problems)
    built = ruleset(config)
    problems.update(built.problems)
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    headers, certificate = config.headers, certificate_header(config)
    names = protected_names(
        managed_names(headers.preset, headers.claims, templated_names(built.index.routes)),
        certificate=None if certificate is None else certificate.name,
    )
    return Rules(config, built.index, names)
