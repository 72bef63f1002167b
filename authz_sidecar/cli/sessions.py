"""`authz-sidecar sessions list|revoke`: who is signed in where, and ending it, for operators."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config_option, config_path
from authz_sidecar.cli.store_session import run_query
from authz_sidecar.config.load import load_config
from authz_sidecar.errors import StartupError
from authz_sidecar.provider_presets import PROVIDER_PRESETS

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.config.schema import Config
    from authz_sidecar.sessions import SessionService, SessionSummary


def add(commands: Subparsers) -> None:
    sessions = commands.add_parser("sessions", help="list and end sessions")
    actions = sessions.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the living sessions of a user")
    listing.add_argument("--user", required=True, metavar="USER", help=_USER)
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=run_list)
    revoke = actions.add_parser("revoke", help="end sessions, on every replica at once")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--user", metavar="USER", help=f"all sessions of a user: {_USER}")
    which.add_argument(
        "--handle",
        metavar="HANDLE",
        help="one session, as lists and logs name it; as `--handle=…`, for it may begin with `-`",
    )
    revoke.set_defaults(run=run_revoke)
    for action in (listing, revoke):
        add_config_option(action)


_USER = "`PROVIDER/SUBJECT`, or the subject alone where there is one identity provider"


def run_list(arguments: argparse.Namespace) -> int:
    config = load_config(config_path(arguments), env=os.environ)
    user = _parse_user(config, arguments.user)
    summaries = run_query(config, lambda sessions: sessions.list_for_user(**user))
    for summary in summaries:
        print(json.dumps(asdict(summary)) if arguments.json else _to_line(summary))
    return 0 if summaries else 1


def run_revoke(arguments: argparse.Namespace) -> int:
    config = load_config(config_path(arguments), env=os.environ)
    if arguments.user is not None:
        user = _parse_user(config, arguments.user)
        ended = run_query(config, lambda sessions: sessions.end_user(**user))
    else:
        ended = run_query(config, lambda sessions: _end_session(sessions, arguments.handle))
    print(f"{ended} ended")
    return 0 if ended else 1


async def _end_session(sessions: SessionService, handle: str) -> int:
    summary = await sessions.find_summary(handle)
    if summary is None:
        return 0
    await sessions.end_listed(summary)
    return 1


def _parse_user(config: Config, text: str) -> dict[str, str]:
    """`text` as the names that `SessionService` knows a user by."""
    providers = config.identity_providers
    name, slash, subject = text.partition("/")
    if not slash or name not in providers:
        if len(providers) != 1:
            known = ", ".join(f"`{each}/…`" for each in sorted(providers)) or "none"
            raise StartupError(f"`{text}` must begin with the identity provider: {known}")
        [name], subject = providers, text
    issuer = providers[name].issuer
    template = PROVIDER_PRESETS[providers[name].type].tenant_template(issuer)
    if template is not None:
        tenant, slash, subject = subject.partition("/")
        if not slash:
            raise StartupError(f"`{text}` must name the user's tenant: `{name}/TENANT/…`")
        issuer = template.replace("{tenantid}", tenant)
    return {"provider": name, "issuer": issuer, "subject": subject}


def _to_line(summary: SessionSummary) -> str:
    used = datetime.fromtimestamp(summary.last_used_at, tz=UTC).isoformat(timespec="seconds")
    agent, client = summary.user_agent, summary.client
    columns = (summary.handle, summary.kind, summary.scope, used, client, agent)
    # What a browser sent is not to steer anybody's terminal.
    return "\t".join("".join(c if c.isprintable() else "?" for c in text) for text in columns)
