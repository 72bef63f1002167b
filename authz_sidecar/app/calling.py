"""Who calls with a secret that was made here: our own tokens, and the users of the password file."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

from authz_sidecar.accounts.bearer import OwnTokens
from authz_sidecar.accounts.guesses import Guesses
from authz_sidecar.accounts.htpasswd import PasswordFile
from authz_sidecar.accounts.passwords import Passwords
from authz_sidecar.config.passwords import read_password_file
from authz_sidecar.login.throttle import Limits, Throttle
from authz_sidecar.sealing import KeyedHash

if TYPE_CHECKING:
    from authz_sidecar.accounts.bearer import Finder
    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.metrics import Metrics
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions import Sessions
    from authz_sidecar.tokens import CredentialKind


def own_accounts(
    config: Config, *, finder: Finder, sessions: Sessions, keys: SecretKeys, metrics: Metrics
) -> tuple[CredentialKind, ...]:
    settings = config.basic_auth
    if settings is None:
        return (OwnTokens(finder),)
    users, _ = read_password_file(settings.users.reveal())
    limits = Limits(requests=settings.guesses, window=config.server.throttle.window)
    passwords = Passwords(
        PasswordFile(users),
        realm=settings.realm,
        groups=settings.groups,
        limits=Guesses(
            Throttle(sessions.notes, limits=limits, clock=time.time),
            key=KeyedHash(keys.derive("guesses")[0]),
            throttled=lambda: metrics.throttled(endpoint="basic"),
        ),
        key=secrets.token_bytes(32),
        run=asyncio.to_thread,
    )
    return (OwnTokens(finder), passwords)
