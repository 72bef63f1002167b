"""The options that several commands share, and the type of their common parser."""

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


def add_command(
    commands: Subparsers, name: str, summary: str, *, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Return a new parser for a command; `summary` describes it in lists and in its own help."""
    description = f"{summary[:1].upper()}{summary[1:]}."
    return commands.add_parser(name, help=summary, description=description, epilog=epilog)


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add `--config` to a parser."""
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="PATH",
        help=f"a file, or a directory of them (default: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG})",
    )


def config_path(arguments: argparse.Namespace) -> Path:
    """Return the path of the configuration: of `--config`, `$AUTHZ_SIDECAR_CONFIG`, or the
    default."""
    path: Path | None = arguments.config
    return path if path is not None else Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
