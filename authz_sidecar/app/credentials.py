"""Who calls with a secret that was made here: our own tokens, and the users of the password file."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import TYPE_CHECKING

from authz_sidecar.accounts.api_tokens import OwnTokens
from authz_sidecar.accounts.basic_auth import Guesses, Passwords
from authz_sidecar.accounts.htpasswd import PasswordFile
from authz_sidecar.config.checks.passwords import read_password_file
from authz_sidecar.login.providers import Trust
from authz_sidecar.rate_limit import Limits, Throttle
from authz_sidecar.sealing import KeyedHash
from authz_sidecar.tokens.introspection import IntrospectedTokens
from authz_sidecar.tokens.jwt import SignedTokens
from authz_sidecar.tokens.settings import ClaimNames, Introspection, IssuerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.accounts.api_tokens import Finder
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, TokenIssuer
    from authz_sidecar.observe.metrics import Metrics
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions import Sessions
    from authz_sidecar.tokens import CredentialKind
    from authz_sidecar.tokens.bearer import Issuer
    from authz_sidecar.tokens.introspection import Admitting


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


def token_issuers(
    config: Config, previous: Application | None, *, throttle: Admitting
) -> dict[str, Issuer]:
    old = previous.token_issuers if previous else {}
    trusts: dict[str | None, Trust] = {}
    issuers: dict[str, Issuer] = {}
    for name, configured in config.token_issuers.items():
        settings = _settings(name, configured)
        # What was asked about is throttled by the configuration of the day.
        if settings.introspection is None and name in old and old[name].settings == settings:
            issuers[name] = old[name]
            continue
        trust = trusts.setdefault(settings.ca_file, Trust(settings.ca_file))
        issuers[name] = (
            SignedTokens(settings, clock=time.time, trust=trust)
            if settings.introspection is None
            else IntrospectedTokens(
                settings,
                settings.introspection,
                clock=time.time,
                trust=trust,
                throttle=throttle,
            )
        )
    return issuers


def token_names(keys: SecretKeys) -> Callable[[str], str]:
    """What a token is called in logs: a keyed hash, which opens nothing and says nothing."""
    hashed = KeyedHash(keys.derive("names of tokens")[0])

    def name(token: str) -> str:
        return base64.urlsafe_b64encode(hashed(token.encode())[:12]).decode()

    return name


def _settings(name: str, issuer: TokenIssuer) -> IssuerSettings:
    claims, asked = issuer.claims, issuer.introspection
    return IssuerSettings(
        name=name,
        issuer=issuer.issuer,
        audiences=issuer.audiences,
        additional_audiences=issuer.additional_audiences,
        jwks_uri=issuer.jwks_uri,
        algorithms=issuer.algorithms,
        types=tuple(each.lower().removeprefix("application/") for each in issuer.types),
        claims=ClaimNames(
            user=claims.user, email=claims.email, groups=claims.groups, name=claims.name
        ),
        require=issuer.require,
        scopes=issuer.scopes,
        leeway=issuer.leeway,
        max_lifetime=issuer.max_lifetime,
        require_dpop=issuer.require_dpop,
        dpop_nonce=issuer.dpop_nonce,
        ca_file=issuer.ca_file,
        bearer_token_file=issuer.bearer_token_file,
        introspection=None
        if asked is None
        else Introspection(
            endpoint=asked.endpoint,
            client_id=asked.client_id,
            client_secret=asked.client_secret.reveal(),
            client_authentication=asked.client_authentication,
            cache=asked.cache,
            require_audience=asked.require_audience,
        ),
        advertised=issuer.advertised,
    )
