"""An import as a person does it: text in, a configuration that loads out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from authz_sidecar.adapters.registry import NAMES, enabled_adapters
from authz_sidecar.config.load import examine_document
from authz_sidecar.config.references import ReferenceResolver
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.migrate.pomerium import ConversionResult, import_pomerium, to_yaml
from authz_sidecar.routes_from_config import compile_routes

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.config.schema import Config
    from authz_sidecar.routes import CompiledRoutes

PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
FACTS = frozenset(RequestAttribute).intersection(
    *(it.attributes for it in enabled_adapters(NAMES).values())
)


class PermissiveEnvironment(dict[str, str]):
    """An environment in which every variable is set."""

    def __missing__(self, name: str) -> str:
        return PEM if "SIGNING" in name else f"{name} 0123456789 abcdefghijklmnop"

    def __contains__(self, name: object) -> bool:
        return True


def convert_text(text: str) -> ConversionResult:
    document = parse_yaml(text, file="config.yaml")
    assert not document.problems
    return import_pomerium(document.data, source_map=document.source_map, facts=FACTS)


def convert_options(options: object) -> ConversionResult:
    return convert_text(yaml.safe_dump(options, sort_keys=False))


def load_converted(result: ConversionResult, directory: Path) -> tuple[Config, CompiledRoutes]:
    """What it is when we read it; fails when there is any problem with it."""
    document = parse_yaml(
        to_yaml(result, source="config.yaml"),
        file="authz-sidecar.yaml",
        resolver=ReferenceResolver(env=PermissiveEnvironment(), directory=directory),
    )
    examined = examine_document(document)
    assert examined.config is not None, "\n".join(map(str, examined.problems))
    built = compile_routes(examined.config)
    assert not built.problems, "\n".join(map(str, built.problems))
    return examined.config, built
