"""`authz-sidecar import pomerium`: another product's configuration as ours, and what remains."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.adapters.registry import NAMES, adapters
from authz_sidecar.config.load import MAX_BYTES
from authz_sidecar.config.yaml import read_text
from authz_sidecar.core.types import Fact
from authz_sidecar.errors import ConfigError, StartError
from authz_sidecar.migrate.pomerium import import_pomerium, report, written

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.config.document import Document

_EPILOG = """\
The configuration goes to the standard output or to --out, the report beside it. Exit code 1 means
that some requests would be decided otherwise than in Pomerium, or that something about who may pass
could not be carried over: read the report, then say --accept.
"""


def add(commands: Commands) -> None:
    parser = commands.add_parser("import", help="take over another product's configuration")
    products = parser.add_subparsers(title="products", metavar="PRODUCT", required=True)
    pomerium = products.add_parser("pomerium", help="Pomerium Core's `config.yaml`", epilog=_EPILOG)
    pomerium.add_argument("path", type=Path, metavar="FILE")
    pomerium.add_argument("--out", type=Path, metavar="FILE", help="write the configuration here")
    pomerium.add_argument("--report", type=Path, metavar="FILE", help="write the report here")
    pomerium.add_argument(
        "--accept", action="store_true", help="exit with 0 whatever is decided otherwise"
    )
    pomerium.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path: Path = arguments.path
    document = _read(path)
    facts = [adapter.facts for adapter in adapters(NAMES).values()]
    imported = import_pomerium(
        document.data, where=document.positions, facts=frozenset(Fact).intersection(*facts)
    )
    _put(arguments.out, written(imported, source=path.name), sys.stdout)
    _put(arguments.report, report(imported), sys.stderr)
    return 1 if imported.needs_acceptance and not arguments.accept else 0


def _read(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise StartError(f"cannot read `{path}`: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise StartError(f"`{path}` is not text in UTF-8") from None
    if len(content) > MAX_BYTES:
        raise StartError(f"`{path}` is larger than {MAX_BYTES >> 20} MiB")
    document = read_text(text, file=str(path))
    if document.problems:
        raise ConfigError(document.problems)
    if not isinstance(document.data, dict):
        raise StartError(f"`{path}` is no map of options")
    return document


def _put(path: Path | None, text: str, stream: TextIO) -> None:
    """A file is never written over: it may have been edited since."""
    if path is None:
        print(text, end="", file=stream)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise StartError(f"`{path}` exists already, it is left as it is") from None
    except OSError as error:
        raise StartError(f"cannot write `{path}`: {(error.strerror or '').lower()}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
