"""An import as a person does it: text in, a configuration that loads out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from authz_sidecar.adapters.registry import NAMES, adapters
from authz_sidecar.config.load import examine_document
from authz_sidecar.config.references import Surroundings
from authz_sidecar.config.yaml import read_text
from authz_sidecar.core.types import Fact
from authz_sidecar.migrate.pomerium import Imported, import_pomerium, written
from authz_sidecar.routes_from_config import ruleset

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.config.schema import Config
    from authz_sidecar.routes import Built

PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
FACTS = frozenset(Fact).intersection(*(it.facts for it in adapters(NAMES).values()))


class Anything(dict[str, str]):
    """An environment in which every variable is set."""

    def __missing__(self, name: str) -> str:
        return PEM if "SIGNING" in name else f"{name} 0123456789 abcdefghijklmnop"

    def __contains__(self, name: object) -> bool:
        return True


def imported(text: str) -> Imported:
    document = read_text(text, file="config.yaml")
    assert not document.problems
    return import_pomerium(document.data, where=document.positions, facts=FACTS)


def of(options: object) -> Imported:
    return imported(yaml.safe_dump(options, sort_keys=False))


def loaded(result: Imported, directory: Path) -> tuple[Config, Built]:
    """What it is when we read it; fails when there is any problem with it."""
    document = read_text(
        written(result, source="config.yaml"),
        file="authz-sidecar.yaml",
        surroundings=Surroundings(env=Anything(), directory=directory),
    )
    examined = examine_document(document)
    assert examined.config is not None, "\n".join(map(str, examined.problems))
    built = ruleset(examined.config)
    assert not built.problems, "\n".join(map(str, built.problems))
    return examined.config, built
