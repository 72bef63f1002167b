"""Rules of a configuration that involve more than one key, and what is worth a warning.

The shape of each key is the schema's business; policies and the routes' order are `routes`'.
"""

from __future__ import annotations

from authz_sidecar.config.schema import Config
from authz_sidecar.errors import Problem


def problems(config: Config) -> tuple[Problem, ...]:
    return ()


def warnings(config: Config) -> tuple[Problem, ...]:
    return ()
