"""Builds the authenticators of non-browser clients: API tokens, HTTP Basic and access tokens.

Token verifiers whose settings did not change are taken over from the previous application.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import TYPE_CHECKING

from authz_sidecar.accounts.api_tokens import ApiTokenAuthenticator
from authz_sidecar.accounts.basic_auth import BasicAuthenticator, PasswordRateLimiter
from authz_sidecar.accounts.htpasswd import PasswordFile
from authz_sidecar.config.checks.passwords import parse_password_file
from authz_sidecar.login.providers import TLSContext
from authz_sidecar.rate_limit import RateLimit, RateLimiter
from authz_sidecar.sealing import KeyedHash
from authz_sidecar.tokens.introspection import TokenIntrospector
from authz_sidecar.tokens.jwt import JWTVerifier
from authz_sidecar.tokens.settings import IntrospectionSettings, IssuerSettings, TokenClaimNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.accounts.api_tokens import SessionFinder
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, TokenIssuer
    from authz_sidecar.observe.metrics import Metrics
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions import SessionService
    from authz_sidecar.tokens import Authenticator
    from authz_sidecar.tokens.bearer import AccessTokenVerifier
    from authz_sidecar.tokens.introspection import ClientRateLimiter


def local_authenticators(
    config: Config,
    *,
    session_finder: SessionFinder,
    sessions: SessionService,
    keys: SecretKeys,
    metrics: Metrics,
) -> tuple[Authenticator, ...]:
    """Return the authenticators of API tokens and, if configured, of HTTP Basic."""
    settings = config.basic_auth
    if settings is None:
        return (ApiTokenAuthenticator(session_finder),)
    users, _ = parse_password_file(settings.users.reveal())
    limits = RateLimit(requests=settings.guesses, window=config.server.throttle.window)
    basic_authenticator = BasicAuthenticator(
        PasswordFile(users),
        realm=settings.realm,
        groups=settings.groups,
        limiter=PasswordRateLimiter(
            RateLimiter(sessions.one_time, limits=limits, clock=time.time),
            bucket_hash=KeyedHash(keys.derive("guesses")[0]),
            on_rate_limited=lambda: metrics.count_throttled(endpoint="basic"),
        ),
        key=secrets.token_bytes(32),
        run_in_thread=asyncio.to_thread,
    )
    return (ApiTokenAuthenticator(session_finder), basic_authenticator)


def token_verifiers(
    config: Config, previous: Application | None, *, rate_limiter: ClientRateLimiter
) -> dict[str, AccessTokenVerifier]:
    """Return the access token verifier of each token issuer, by name.

    Unchanged JWT verifiers are taken over from `previous`.
    """
    previous_verifiers = previous.token_verifiers if previous else {}
    tls_contexts: dict[str | None, TLSContext] = {}
    verifiers: dict[str, AccessTokenVerifier] = {}
    for name, issuer in config.token_issuers.items():
        settings = _issuer_settings(name, issuer)
        # An introspector is rebuilt, because it holds the rate limiter of its configuration.
        if (
            settings.introspection is None
            and name in previous_verifiers
            and previous_verifiers[name].settings == settings
        ):
            verifiers[name] = previous_verifiers[name]
            continue
        tls_context = tls_contexts.setdefault(settings.ca_file, TLSContext(settings.ca_file))
        verifiers[name] = (
            JWTVerifier(settings, clock=time.time, tls_context=tls_context)
            if settings.introspection is None
            else TokenIntrospector(
                settings,
                settings.introspection,
                clock=time.time,
                tls_context=tls_context,
                rate_limiter=rate_limiter,
            )
        )
    return verifiers


def token_fingerprint(keys: SecretKeys) -> Callable[[str], str]:
    """Return the keyed hash function that names tokens in logs."""
    keyed_hash = KeyedHash(keys.derive("names of tokens")[0])

    def fingerprint(token: str) -> str:
        return base64.urlsafe_b64encode(keyed_hash(token.encode())[:12]).decode()

    return fingerprint


def _issuer_settings(name: str, issuer: TokenIssuer) -> IssuerSettings:
    claims, introspection = issuer.claims, issuer.introspection
    return IssuerSettings(
        name=name,
        issuer=issuer.issuer,
        audiences=issuer.audiences,
        additional_audiences=issuer.additional_audiences,
        jwks_uri=issuer.jwks_uri,
        algorithms=issuer.algorithms,
        types=tuple(token_type.lower().removeprefix("application/") for token_type in issuer.types),
        claims=TokenClaimNames(
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
        if introspection is None
        else IntrospectionSettings(
            endpoint=introspection.endpoint,
            client_id=introspection.client_id,
            client_secret=introspection.client_secret.reveal(),
            client_authentication=introspection.client_authentication,
            cache_seconds=introspection.cache,
            require_audience=introspection.require_audience,
        ),
        advertised=issuer.advertised,
    )
