"""`authz-sidecar import pomerium`: converts a Pomerium configuration, with a report of what
remains."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.adapters.registry import NAMES, enabled_adapters
from authz_sidecar.cli.options import add_command
from authz_sidecar.config.load import MAX_CONFIG_BYTES
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.errors import ConfigError, StartupError
from authz_sidecar.migrate.pomerium import format_report, import_pomerium, to_yaml

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.config.document import Document

_EPILOG = """\
The configuration is written to standard output or --out, the report to standard error or --report.
Exit code 1 means that some requests would be decided differently than in Pomerium, or that part of
the access rules could not be converted: read the report, then pass --accept.
"""


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "import", "convert another product's configuration")
    products = parser.add_subparsers(title="products", metavar="PRODUCT", required=True)
    pomerium = add_command(
        products, "pomerium", "convert Pomerium Core's `config.yaml`", epilog=_EPILOG
    )
    pomerium.add_argument("path", type=Path, metavar="FILE")
    pomerium.add_argument("--out", type=Path, metavar="FILE", help="write the configuration here")
    pomerium.add_argument("--report", type=Path, metavar="FILE", help="write the report here")
    pomerium.add_argument(
        "--accept", action="store_true", help="exit with 0 even if requests are decided differently"
    )
    pomerium.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the configuration and the report; return 1 if requests would be decided differently and
    `--accept` is missing, else 0. Raises `StartupError` and `ConfigError`."""
    path: Path = arguments.path
    document = _read_document(path)
    facts = [adapter.attributes for adapter in enabled_adapters(NAMES).values()]
    imported = import_pomerium(
        document.data,
        source_map=document.source_map,
        facts=frozenset(RequestAttribute).intersection(*facts),
    )
    _write_new(arguments.out, to_yaml(imported, source=path.name), sys.stdout)
    _write_new(arguments.report, format_report(imported), sys.stderr)
    return 1 if imported.needs_acceptance and not arguments.accept else 0


def _read_document(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise StartupError(f"cannot read `{path}`: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise StartupError(f"`{path}` is not text in UTF-8") from None
    if len(content) > MAX_CONFIG_BYTES:
        raise StartupError(f"`{path}` is larger than {MAX_CONFIG_BYTES >> 20} MiB")
    document = parse_yaml(text, file=str(path))
    if document.problems:
        raise ConfigError(document.problems)
    if not isinstance(document.data, dict):
        raise StartupError(f"`{path}` is not a map of options")
    return document


def _write_new(path: Path | None, text: str, stream: TextIO) -> None:
    """Write a new file. An existing one is never overwritten: it may have been edited."""
    if path is None:
        print(text, end="", file=stream)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise StartupError(f"`{path}` exists already and was not changed") from None
    except OSError as error:
        raise StartupError(f"cannot write `{path}`: {(error.strerror or '').lower()}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
