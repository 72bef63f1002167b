"""Reads a configuration for its rules alone. Secrets and stores may be missing: whoever tests
policies, on a laptop or in CI, has none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.load import examine
from authz_sidecar.errors import ConfigError
from authz_sidecar.ruleset import ruleset

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.config.schema import Config
    from authz_sidecar.routes import RouteIndex

# Problems begin with the path of what they are about.
_NOTHING_TO_DO_WITH_RULES = re.compile(
    r"(?:secret_keys|sessions|assertion|identity_providers\.[^:]*\.client_(?:secret|key))\b"
)


@dataclass(frozen=True, slots=True)
class Rules:
    config: Config
    index: RouteIndex


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
    return Rules(config, built.index)
