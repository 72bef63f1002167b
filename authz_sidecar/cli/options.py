"""What several commands take from the command line, and the type of their shared parser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

    # argparse has no public name for what `add_subparsers` returns.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

VARIABLE = "AUTHZ_SIDECAR_CONFIG"
DEFAULT = "authz-sidecar.yaml"


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="PATH",
        help=f"a file, or a directory of them (default: ${VARIABLE}, else {DEFAULT})",
    )


def config_path(arguments: argparse.Namespace) -> Path:
    given: Path | None = arguments.config
    return given if given is not None else Path(os.environ.get(VARIABLE) or DEFAULT)
