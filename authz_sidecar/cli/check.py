"""`authz-sidecar check`: everything that is wrong with a configuration, and what is worth a word."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.config.load import examine
from authz_sidecar.ruleset import ruleset

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.errors import Problem


def add(commands: Commands) -> None:
    parser = commands.add_parser("check", help="check a configuration and its policies")
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path = config_path(arguments)
    examined = examine(path, env=os.environ)
    problems, warnings = set(examined.problems), set(examined.warnings)
    if examined.partial is not None:
        built = ruleset(examined.partial)
        problems.update(built.problems)
        warnings.update(built.warnings)
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    for warning in sorted(warnings):
        print(_as_warning(warning), file=sys.stderr)
    if problems:
        print(f"{path}: {_count(len(problems), 'problem')}", file=sys.stderr)
        return 2
    config = examined.config
    routes = 0 if config is None else len(config.routes)
    print(f"{path}: sound, {_count(routes, 'route')}, {_count(len(warnings), 'warning')}")
    return 0


def _as_warning(warning: Problem) -> str:
    return f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.message}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
