"""`authz-sidecar explain`: prints why a request passes or not, rule by rule."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from authz_sidecar.cli.explain_text import adapt_to_stream, render
from authz_sidecar.cli.load_routes import load_compiled_routes
from authz_sidecar.cli.options import add_command, add_config_option, config_path
from authz_sidecar.cli.request_args import (
    add_identity_options,
    add_request_options,
    build_identity,
    build_request,
    evaluation_time,
)
from authz_sidecar.routes.explain import explain_request
from authz_sidecar.routes.explain_json import to_json
from authz_sidecar.routes_from_config import available_attributes

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "explain", "explain why a request passes or not, rule by rule")
    add_config_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_request_options(parser)
    add_identity_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation as text or JSON and return 0. Raises `ConfigError`."""
    rules = load_compiled_routes(config_path(arguments))
    request = build_request(arguments, facts=available_attributes(rules.config))
    identity = build_identity(arguments, request, rules.index)
    explained = explain_request(
        rules.index, request, identity, names=rules.protected_names, now=evaluation_time(arguments)
    )
    explanation_json = to_json(
        explained, source_map=rules.config.source_map, base_path=rules.config.server.base_path
    )
    if arguments.json:
        print(json.dumps(explanation_json, indent=2))
    else:
        print(adapt_to_stream(render(explanation_json), sys.stdout))
    return 0
