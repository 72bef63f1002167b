"""`authz-sidecar snippet PROXY`: the proxy's side of a configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.config.load import load
from authz_sidecar.errors import ConfigError, StartError
from authz_sidecar.identity.headers import managed_names, templated_names
from authz_sidecar.routes_from_config import ruleset
from authz_sidecar.snippets import PROXIES, SnippetError, facts_of, write

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "snippet", help="print a proxy's configuration for this one's hosts and headers"
    )
    parser.add_argument("proxy", choices=PROXIES)
    add_config(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIRECTORY", help="write the files there instead of printing"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = load(config_path(arguments), env=os.environ)
    built = ruleset(config)
    if built.problems:
        raise ConfigError(built.problems)
    try:
        headers = managed_names(
            config.headers.preset, config.headers.claims, templated_names(built.index.routes)
        )
        snippet = write(arguments.proxy, facts_of(config, headers=headers))
    except SnippetError as error:
        raise StartError(str(error)) from None
    if arguments.out is None:
        for name, text in snippet.files.items():
            print(f"{_comment(name)} ==== {name}\n{text}")
    else:
        _write(arguments.out, snippet.files)
    for note in snippet.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _comment(name: str) -> str:
    return "--" if name.endswith(".lua") else "#"


def _write(directory: Path, files: dict[str, str]) -> None:
    """Never over what is there: the operator may have edited it."""
    taken = [name for name in files if (directory / name).exists()]
    if taken:
        raise StartError(f"`{directory / taken[0]}` exists already, nothing was written")
    try:
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot write to `{directory}`: {reason}") from None
