"""`authz-sidecar service-account new|list|revoke`: tokens for machines, made and taken back."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from authz_sidecar.accounts.service_accounts import ServiceAccounts
from authz_sidecar.cli.options import add_config_option, config_path
from authz_sidecar.cli.request_args import add_claim_option, parse_comma_separated
from authz_sidecar.cli.store_session import run_query
from authz_sidecar.config.load import load_config
from authz_sidecar.config.value_parsers import parse_duration
from authz_sidecar.errors import StartupError
from authz_sidecar.routes_from_config import compile_routes

if TYPE_CHECKING:
    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.config.schema import Config
    from authz_sidecar.sessions import SessionSummary


def add(commands: Subparsers) -> None:
    accounts = commands.add_parser("service-account", help="tokens for machines")
    actions = accounts.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a token and print it, this once")
    new.add_argument("name", metavar="NAME", help="whom policies and apps will see")
    new.add_argument(
        "--expires",
        type=_parse_lifetime,
        default="90d",
        metavar="DURATION",
        help="how long it is good for (default: %(default)s)",
    )
    new.add_argument(
        "--route",
        action="append",
        default=[],
        metavar="ROUTE",
        help="the name of a route that it opens; again for more (default: all that take service"
        " accounts)",
    )
    new.add_argument("--groups", type=parse_comma_separated, default=(), metavar="A,B")
    add_claim_option(new)
    new.set_defaults(run=run_new)
    listing = actions.add_parser("list", help="the tokens that are good")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=run_list)
    revoke = actions.add_parser("revoke", help="end tokens, on every replica at once")
    revoke.add_argument("which", metavar="NAME|ID", help="all tokens of a name, or one by its id")
    revoke.set_defaults(run=run_revoke)
    for action in (new, listing, revoke):
        add_config_option(action)


def run_new(arguments: argparse.Namespace) -> int:
    config = load_config(config_path(arguments), env=os.environ)
    _check_routes(config, arguments.route)
    try:
        token, session = run_query(
            config,
            lambda sessions: ServiceAccounts(sessions).create_token(
                arguments.name,
                lifetime=arguments.expires,
                routes=tuple(dict.fromkeys(arguments.route)),
                groups=arguments.groups,
                claims=dict(arguments.claim),
            ),
        )
    except ValueError as wrong:
        raise StartupError(str(wrong)) from None
    # The token alone, so that a script can take it; the rest is for whoever looks on.
    print(token)
    print(f"id {session.public_id}, expires {_format_time(session.expires_at)}", file=sys.stderr)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    config = load_config(config_path(arguments), env=os.environ)
    for summary in run_query(config, lambda sessions: ServiceAccounts(sessions).active_tokens()):
        print(json.dumps(_to_json(summary)) if arguments.json else _to_line(summary))
    return 0


def run_revoke(arguments: argparse.Namespace) -> int:
    config = load_config(config_path(arguments), env=os.environ)
    ended = run_query(config, lambda sessions: ServiceAccounts(sessions).revoke(arguments.which))
    print(f"{ended} ended")
    return 0 if ended else 1


def _check_routes(config: Config, names: list[str]) -> None:
    accepting = {
        route.name for route in compile_routes(config).index.routes if route.service_accounts
    }
    for name in names:
        if name not in accepting:
            known = ", ".join(f"`{each}`" for each in sorted(accepting)) or "none"
            raise StartupError(
                f"`{name}` is not a route with `service_accounts: true`; such routes are: {known}"
            )


def _to_json(summary: SessionSummary) -> dict[str, object]:
    return {
        "id": summary.handle,
        "name": _account_name(summary),
        "routes": list(summary.routes),
        "created_at": _format_time(summary.created_at),
        "last_used_at": _format_time(summary.last_used_at),
        "expires_at": _format_time(summary.expires_at),
    }


def _to_line(summary: SessionSummary) -> str:
    routes = ",".join(summary.routes) or "*"
    times = (summary.expires_at, summary.last_used_at)
    return "\t".join((summary.handle, _account_name(summary), routes, *map(_format_time, times)))


def _account_name(summary: SessionSummary) -> str:
    return summary.subject.partition("/")[2]


def _format_time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, tz=UTC).isoformat(timespec="seconds")


def _parse_lifetime(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
    if seconds < 1:
        raise argparse.ArgumentTypeError("must be at least `1s`")
    return seconds
