"""The command line: parses the arguments, runs the command and prints each error as one sentence.

Exit codes: 0 success, 1 refused or failing cases, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from authz_sidecar import __version__
from authz_sidecar.errors import ConfigError, StartupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["main"]

COMMANDS = {
    "serve": "serve",
    "check": "check",
    "explain": "explain",
    "policy": "policy",
    "schema": "schema",
    "snippet": "snippet",
    "import": "import_",
    "keys": "keys",
    "sessions": "sessions",
    "service-account": "service_account",
    "demo": "demo",
}
"""The module of each command. Only the chosen one is imported, so that each command starts fast and the
server does not keep what the others need."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: the process's arguments) and return its exit code."""
    argv_words = sys.argv[1:] if argv is None else argv
    command = argv_words[0] if argv_words and argv_words[0] in COMMANDS else None
    arguments = _parser(COMMANDS if command is None else (command,)).parse_args(argv_words)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except StartupError as error:
        print(f"authz-sidecar: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has closed the pipe; Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="authz-sidecar",
        description="Pomerium's policies and zero-trust sign-in, behind the proxy you already run.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"authz-sidecar {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        import_module(f"authz_sidecar.cli.{COMMANDS[name]}").add(commands)
    return parser
