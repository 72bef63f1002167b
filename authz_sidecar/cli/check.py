"""`authz-sidecar check`: everything that is wrong with a configuration, and what is worth a word."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.config.check import STORES
from authz_sidecar.config.load import examine
from authz_sidecar.identity.assertion import signing_key_from_pem
from authz_sidecar.ruleset import ruleset
from authz_sidecar.sessions.location import parse_location

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.config.schema import Config
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
        problems.update(_signing_key_problems(examined.partial))
        problems.update(_store_problems(examined.partial))
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


def _signing_key_problems(config: Config) -> Iterator[Problem]:
    for at, key in enumerate(config.assertion.signing_keys):
        pem = key.reveal()
        try:
            if "-----BEGIN" in pem:  # otherwise it has been refused already
                signing_key_from_pem(pem.encode())
        except ValueError:
            yield config.positions.problem(
                "is not an unencrypted EC private key on P-256", "assertion", "signing_keys", at
            )


def _store_problems(config: Config) -> Iterator[Problem]:
    store = config.sessions.store.reveal()
    if store.partition("://")[0] not in STORES:
        return  # refused already
    try:
        parse_location(store)
    except ValueError as error:
        yield config.positions.problem(str(error), "sessions", "store")


def _as_warning(warning: Problem) -> str:
    return f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.message}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
