"""What several commands take from the command line, and the type of their shared parser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

    # argparse has no public name for what `add_subparsers` returns.
    Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

CONFIG_VARIABLE = "AUTHZ_SIDECAR_CONFIG"
DEFAULT_CONFIG = "authz-sidecar.yaml"


def add_config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="PATH",
        help=f"a file, or a directory of them (default: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG})",
    )


def config_path(arguments: argparse.Namespace) -> Path:
    given: Path | None = arguments.config
    return given if given is not None else Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
