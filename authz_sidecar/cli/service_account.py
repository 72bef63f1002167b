"""`authz-sidecar service-account new|list|revoke`: creates, lists and revokes tokens of service
accounts."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from authz_sidecar.accounts.service_accounts import ServiceAccounts
from authz_sidecar.cli.options import add_command, add_config_option, config_path
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
    """Add the command to the parser."""
    accounts = add_command(
        commands, "service-account", "create, list and revoke tokens for machines"
    )
    actions = accounts.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = add_command(actions, "new", "create a token and print it; it is not shown again")
    new.add_argument("name", metavar="NAME", help="the name that policies and apps see")
    new.add_argument(
        "--expires",
        type=_parse_lifetime,
        default="90d",
        metavar="DURATION",
        help="the lifetime of the token (default: %(default)s)",
    )
    new.add_argument(
        "--route",
        action="append",
        default=[],
        metavar="ROUTE",
        help="a route that the token is accepted on; may be repeated (default: all with"
        " `service_accounts: true`)",
    )
    new.add_argument(
        "--groups", type=parse_comma_separated, default=(), metavar="A,B", help="groups"
    )
    add_claim_option(new)
    new.set_defaults(run=run_new)
    listing = add_command(actions, "list", "list the active tokens")
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    listing.set_defaults(run=run_list)
    revoke = add_command(actions, "revoke", "revoke tokens on all replicas at once")
    revoke.add_argument(
        "which",
        metavar="NAME|ID",
        help="the name of an account (all its tokens), or the id of one token",
    )
    revoke.set_defaults(run=run_revoke)
    for action in (new, listing, revoke):
        add_config_option(action)


def run_new(arguments: argparse.Namespace) -> int:
    """Create a token, print it, and return 0. Raises `StartupError` for an unknown route or an
    unreachable store."""
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
    # The token alone, so that a script can use it; the rest goes to standard error.
    print(token)
    print(f"id {session.public_id}, expires {_format_time(session.expires_at)}", file=sys.stderr)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """Print the active tokens and return 0. Raises `StartupError`."""
    config = load_config(config_path(arguments), env=os.environ)
    for summary in run_query(config, lambda sessions: ServiceAccounts(sessions).active_tokens()):
        print(json.dumps(_to_json(summary)) if arguments.json else _to_line(summary))
    return 0


def run_revoke(arguments: argparse.Namespace) -> int:
    """Revoke tokens by name or id; return 1 if there were none, else 0. Raises `StartupError`."""
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
            route_names = ", ".join(f"`{route}`" for route in sorted(accepting)) or "none"
            raise StartupError(
                f"`{name}` is not a route with `service_accounts: true`; such routes are: {route_names}"
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
