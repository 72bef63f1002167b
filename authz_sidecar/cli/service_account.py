"""`authz-sidecar service-account new|list|revoke`: tokens for machines, made and taken back."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from authz_sidecar.accounts.service_accounts import ServiceAccounts
from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.cli.request_args import add_claim, comma_separated
from authz_sidecar.cli.store_session import asked
from authz_sidecar.config.load import load
from authz_sidecar.config.value_parsers import duration
from authz_sidecar.errors import StartError
from authz_sidecar.routes_from_config import ruleset

if TYPE_CHECKING:
    from authz_sidecar.cli.options import Commands
    from authz_sidecar.config.schema import Config
    from authz_sidecar.sessions import SessionSummary


def add(commands: Commands) -> None:
    accounts = commands.add_parser("service-account", help="tokens for machines")
    actions = accounts.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a token and print it, this once")
    new.add_argument("name", metavar="NAME", help="whom policies and apps will see")
    new.add_argument(
        "--expires",
        type=_lifetime,
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
    new.add_argument("--groups", type=comma_separated, default=(), metavar="A,B")
    add_claim(new)
    new.set_defaults(run=run_new)
    listing = actions.add_parser("list", help="the tokens that are good")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=run_list)
    revoke = actions.add_parser("revoke", help="end tokens, on every replica at once")
    revoke.add_argument("which", metavar="NAME|ID", help="all tokens of a name, or one by its id")
    revoke.set_defaults(run=run_revoke)
    for action in (new, listing, revoke):
        add_config(action)


def run_new(arguments: argparse.Namespace) -> int:
    config = load(config_path(arguments), env=os.environ)
    _check_routes(config, arguments.route)
    try:
        token, session = asked(
            config,
            lambda sessions: ServiceAccounts(sessions).mint(
                arguments.name,
                lifetime=arguments.expires,
                routes=tuple(dict.fromkeys(arguments.route)),
                groups=arguments.groups,
                claims=dict(arguments.claim),
            ),
        )
    except ValueError as wrong:
        raise StartError(str(wrong)) from None
    # The token alone, so that a script can take it; the rest is for whoever looks on.
    print(token)
    print(f"id {session.handle}, expires {_time(session.expires_at)}", file=sys.stderr)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    config = load(config_path(arguments), env=os.environ)
    for summary in asked(config, lambda sessions: ServiceAccounts(sessions).living()):
        print(json.dumps(_described(summary)) if arguments.json else _line(summary))
    return 0


def run_revoke(arguments: argparse.Namespace) -> int:
    config = load(config_path(arguments), env=os.environ)
    ended = asked(config, lambda sessions: ServiceAccounts(sessions).revoke(arguments.which))
    print(f"{ended} ended")
    return 0 if ended else 1


def _check_routes(config: Config, names: list[str]) -> None:
    taking = {route.name for route in ruleset(config).index.routes if route.service_accounts}
    for name in names:
        if name not in taking:
            known = ", ".join(f"`{each}`" for each in sorted(taking)) or "none"
            raise StartError(
                f"`{name}` is not a route with `service_accounts: true`, there are: {known}"
            )


def _described(summary: SessionSummary) -> dict[str, object]:
    return {
        "id": summary.handle,
        "name": _name(summary),
        "routes": list(summary.routes),
        "created_at": _time(summary.created_at),
        "last_used_at": _time(summary.last_used_at),
        "expires_at": _time(summary.expires_at),
    }


def _line(summary: SessionSummary) -> str:
    routes = ",".join(summary.routes) or "*"
    times = (summary.expires_at, summary.last_used_at)
    return "\t".join((summary.handle, _name(summary), routes, *map(_time, times)))


def _name(summary: SessionSummary) -> str:
    return summary.subject.partition("/")[2]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds")


def _lifetime(text: str) -> float:
    try:
        seconds = duration(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
    if seconds < 1:
        raise argparse.ArgumentTypeError("less than a second is no time")
    return seconds
