"""`authz-sidecar sessions list|revoke`: lists and ends the sessions of a user, for operators."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command, add_config_option, config_path
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
    """Add the command to the parser."""
    sessions = add_command(commands, "sessions", "list and end the sessions of users")
    actions = sessions.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "list the active sessions of a user")
    listing.add_argument("--user", required=True, metavar="USER", help=_USER)
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    listing.set_defaults(run=run_list)
    revoke = add_command(actions, "revoke", "end sessions on all replicas at once")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--user", metavar="USER", help=f"all sessions of a user: {_USER}")
    which.add_argument(
        "--handle",
        metavar="HANDLE",
        help="one session, by its id in lists and logs; write `--handle=…`, as it may begin with `-`",
    )
    revoke.set_defaults(run=run_revoke)
    for action in (listing, revoke):
        add_config_option(action)


_USER = "`PROVIDER/SUBJECT`, or the subject alone if there is one identity provider"


def run_list(arguments: argparse.Namespace) -> int:
    """Print the active sessions of a user; return 1 if there are none, else 0. Raises
    `StartupError`."""
    config = load_config(config_path(arguments), env=os.environ)
    user = _parse_user(config, arguments.user)
    summaries = run_query(config, lambda sessions: sessions.list_for_user(**user))
    for summary in summaries:
        print(json.dumps(asdict(summary)) if arguments.json else _to_line(summary))
    return 0 if summaries else 1


def run_revoke(arguments: argparse.Namespace) -> int:
    """End all sessions of a user or one session; return 1 if there were none, else 0. Raises
    `StartupError`."""
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
    """The provider, issuer and subject in `text`, as arguments of `SessionService`."""
    providers = config.identity_providers
    name, slash, subject = text.partition("/")
    if not slash or name not in providers:
        if len(providers) != 1:
            prefixes = ", ".join(f"`{provider}/…`" for provider in sorted(providers)) or "none"
            raise StartupError(f"`{text}` must begin with the identity provider: {prefixes}")
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
    # The user agent is the client's text: it must not control the terminal.
    return "\t".join("".join(c if c.isprintable() else "?" for c in text) for text in columns)
