"""`authz-sidecar schema`: prints the JSON Schema of the configuration, or its reference in
Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command
from authz_sidecar.config.documentation import json_schema, markdown

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "schema", "print the JSON Schema of the configuration")
    parser.add_argument(
        "--markdown", action="store_true", help="print the configuration reference instead"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema or the reference and return 0."""
    if arguments.markdown:
        print(markdown(), end="")
    else:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
