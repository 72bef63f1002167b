"""`authz-sidecar schema`: the JSON Schema of the configuration, for editors; or its reference."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from authz_sidecar.config.documentation import json_schema, markdown

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("schema", help="print the configuration's JSON Schema")
    parser.add_argument(
        "--markdown", action="store_true", help="print the configuration reference instead"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.markdown:
        print(markdown(), end="")
    else:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
