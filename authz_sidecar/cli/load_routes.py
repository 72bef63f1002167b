"""Loads a configuration for its routes and policies alone. Secrets and stores may be missing:
policies are also tested on laptops and in CI, which have none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.load import examine_config
from authz_sidecar.errors import ConfigError
from authz_sidecar.identity.headers import (
    managed_header_names,
    protected_names,
    template_header_names,
)
from authz_sidecar.routes_from_config import certificate_header, compile_routes

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.routes import RouteIndex

# Problems begin with the path of what they are about.
_IRRELEVANT_TO_ROUTES = re.compile(
    r"(?:secret_keys|sessions|assertion|identity_providers\.[^:]*\.client_(?:secret|key))\b"
)


@dataclass(frozen=True, slots=True)
class LoadedRoutes:
    """A configuration with its compiled routes. `protected_names` are the headers that no client
    may send."""

    config: Config
    index: RouteIndex
    protected_names: ProtectedNames


def load_compiled_routes(path: Path) -> LoadedRoutes:
    """Return the compiled routes of the configuration at `path`. Raises `ConfigError` with every
    problem that affects them."""
    examined = examine_config(path, env=os.environ)
    problems = {
        problem for problem in examined.problems if not _IRRELEVANT_TO_ROUTES.match(problem.message)
    }
    config = examined.config or examined.partial
    if config is None:
        raise ConfigError(examined.problems)
    compiled = compile_routes(config)
    problems.update(compiled.problems)
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    headers, certificate = config.headers, certificate_header(config)
    names = protected_names(
        managed_header_names(
            headers.preset, headers.claims, template_header_names(compiled.index.routes)
        ),
        certificate=None if certificate is None else certificate.name,
    )
    return LoadedRoutes(config, compiled.index, names)
