"""The command line: finds the command, runs it, and turns every failure into one clear sentence.

Exit codes: 0 fine, 1 refused or failing cases, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from authz_sidecar import __version__
from authz_sidecar.cli import (
    check,
    demo,
    explain,
    import_,
    keys,
    policy,
    schema,
    serve,
    service_account,
    sessions,
    snippet,
)
from authz_sidecar.errors import ConfigError, StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = (
    serve,
    check,
    explain,
    policy,
    schema,
    snippet,
    import_,
    keys,
    sessions,
    service_account,
    demo,
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except StartError as error:
        print(f"authz-sidecar: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="authz-sidecar",
        description="Pomerium's policies and zero-trust sign-in, behind the proxy you already run.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"authz-sidecar {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
