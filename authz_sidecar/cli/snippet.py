"""`authz-sidecar snippet PROXY`: prints the proxy's configuration for a sidecar's configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command, add_config_option, config_path
from authz_sidecar.config.load import load_config
from authz_sidecar.errors import ConfigError, StartupError
from authz_sidecar.identity.headers import managed_header_names, template_header_names
from authz_sidecar.routes_from_config import compile_routes
from authz_sidecar.snippets import PROXIES, SnippetError, deployment_facts, render_snippet

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "snippet", "print the proxy's configuration for this configuration"
    )
    parser.add_argument("proxy", choices=PROXIES, help="the proxy")
    add_config_option(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIRECTORY", help="a directory to write the files to instead"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the proxy's files and return 0. Raises `ConfigError` and `StartupError`."""
    config = load_config(config_path(arguments), env=os.environ)
    built = compile_routes(config)
    if built.problems:
        raise ConfigError(built.problems)
    try:
        headers = managed_header_names(
            config.headers.preset, config.headers.claims, template_header_names(built.index.routes)
        )
        snippet = render_snippet(arguments.proxy, deployment_facts(config, headers=headers))
    except SnippetError as error:
        raise StartupError(str(error)) from None
    if arguments.out is None:
        for name, text in snippet.files.items():
            print(f"{_comment_prefix(name)} ==== {name}\n{text}")
    else:
        _write_new(arguments.out, snippet.files)
    for note in snippet.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _comment_prefix(name: str) -> str:
    return "--" if name.endswith(".lua") else "#"


def _write_new(directory: Path, files: dict[str, str]) -> None:
    """Write new files. Existing ones are never overwritten: they may have been edited."""
    existing = [name for name in files if (directory / name).exists()]
    if existing:
        raise StartupError(f"`{directory / existing[0]}` exists already, nothing was written")
    try:
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"cannot write to `{directory}`: {reason}") from None
