"""`authz-sidecar explain`: why a request passes or not, rule by rule."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from authz_sidecar.cli.explain_text import drawn, for_stream
from authz_sidecar.cli.load_routes import load_rules
from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.cli.request_args import (
    add_person,
    add_request,
    identity_of,
    request_of,
    time_of,
)
from authz_sidecar.routes.explain import explain_request
from authz_sidecar.routes.explain_json import tell
from authz_sidecar.routes_from_config import delivered_facts

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser("explain", help="say why a request passes or not, rule by rule")
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    add_request(parser)
    add_person(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    rules = load_rules(config_path(arguments))
    request = request_of(arguments, facts=delivered_facts(rules.config))
    identity = identity_of(arguments, request, rules.index)
    explained = explain_request(
        rules.index, request, identity, names=rules.names, now=time_of(arguments)
    )
    told = tell(explained, where=rules.config.positions, base_path=rules.config.server.base_path)
    if arguments.json:
        print(json.dumps(told, indent=2))
    else:
        print(for_stream(drawn(told), sys.stdout))
    return 0
