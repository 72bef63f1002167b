"""Opaque access tokens, verified by introspection at their issuer (RFC 7662): each once, cached for
a short time, and for each network no more often than the rate limit allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.caching import TTLCache
from authz_sidecar.core.types import SessionKind
from authz_sidecar.errors import AuthzError, ProviderUnavailable
from authz_sidecar.oidc.client_authentication import secret_credentials
from authz_sidecar.oidc.http_client import HttpConnection, TLSContext, post_form
from authz_sidecar.tokens.claims import VerifiedToken, verify_claims
from authz_sidecar.tokens.settings import (
    ISSUER_TIMEOUT_SECONDS,
    MAX_CACHED_TOKENS,
    MAX_TOKEN_BYTES,
    TokenRefused,
)

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address
    from authz_sidecar.tokens.settings import IntrospectionSettings, IssuerSettings

INACTIVE_CACHE_SECONDS = 5.0
"""How long an inactive token is cached: it may become active."""
MAX_INACTIVE_CACHED = 1024
MAX_CONCURRENT_REQUESTS = 50


class ClientRateLimiter(Protocol):
    """Limits the introspection requests of a network."""

    async def admit(self, client: Address | None) -> None:
        """Count one request. Raises `RateLimited` when it exceeds the limit."""


class TokenIntrospector:
    """Verifies the opaque tokens of one issuer."""

    def __init__(
        self,
        settings: IssuerSettings,
        introspection: IntrospectionSettings,
        *,
        clock: Callable[[], float],
        tls_context: TLSContext,
        rate_limiter: ClientRateLimiter,
    ) -> None:
        self.settings = settings
        self._introspection = introspection
        self._clock = clock
        self._connection = HttpConnection(tls_context)
        self._rate_limiter = rate_limiter
        self._active: TTLCache[VerifiedToken] = TTLCache(max_entries=MAX_CACHED_TOKENS)
        self._inactive: TTLCache[TokenRefused] = TTLCache(max_entries=MAX_INACTIVE_CACHED)
        self._pending: dict[str, asyncio.Task[VerifiedToken]] = {}
        self._tasks = BackgroundTasks()

    async def verify(self, token: str, *, client: Address | None) -> VerifiedToken:
        """Return the verified token.

        Raises `TokenRefused`, `RateLimited`, and `ProviderUnavailable` when the issuer does not
        answer.
        """
        now = self._clock()
        cached = self._active.get(token, now=now)
        if cached is not None:
            return cached
        inactive = self._inactive.get(token, now=now)
        if inactive is not None:
            raise TokenRefused(
                str(inactive), code=inactive.code, public_message=inactive.public_message
            )
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused(f"token of {len(token)} bytes")
        task = self._pending.get(token)
        if task is None:
            await self._rate_limiter.admit(client)
            task = self._pending.get(token) or self._start_request(token)
        # Cancelling one waiter must not cancel the shared task.
        return await asyncio.shield(task)

    def _start_request(self, token: str) -> asyncio.Task[VerifiedToken]:
        if len(self._pending) >= MAX_CONCURRENT_REQUESTS:
            raise ProviderUnavailable(
                f"token issuer `{self.settings.name}` has too many pending requests"
            )
        task = self._tasks.start(
            self._introspect(token),
            name=f"introspection by `{self.settings.name}`",
            expected=(AuthzError,),
        )
        self._pending[token] = task
        task.add_done_callback(lambda _: self._pending.pop(token))
        return task

    async def _introspect(self, token: str) -> VerifiedToken:
        claims = await self._request_introspection(token)
        now = self._clock()
        try:
            verified = self._verify_response(claims, now=now)
        except TokenRefused as error:
            self._inactive.put(token, error, until=now + INACTIVE_CACHE_SECONDS)
            raise
        until = min(verified.expires_at, now + self._introspection.cache_seconds)
        self._active.put(token, verified, until=until)
        return verified

    def _verify_response(self, claims: Mapping[str, object], *, now: float) -> VerifiedToken:
        # Section 2.2: "active" is REQUIRED and a boolean; nothing else counts as one.
        if claims.get("active") is not True:
            raise TokenRefused("token is not active")
        if claims.get("iss", self.settings.issuer) != self.settings.issuer:
            raise TokenRefused("token is of another issuer")
        if "exp" not in claims:
            # It is valid until the next introspection.
            claims = {**claims, "iat": now, "exp": now + self._introspection.cache_seconds}
        return verify_claims(claims, kind=SessionKind.INTROSPECTED, settings=self.settings, now=now)

    async def _request_introspection(self, token: str) -> Mapping[str, object]:
        introspection = self._introspection
        client_credentials = secret_credentials(
            introspection.client_id,
            introspection.client_secret,
            in_form=introspection.client_authentication == "client_secret_post",
        )
        form = {"token": token, "token_type_hint": "access_token", **client_credentials.form}
        client = await self._connection.client()
        try:
            async with asyncio.timeout(ISSUER_TIMEOUT_SECONDS):
                status, document = await post_form(
                    client, introspection.endpoint, form, headers=client_credentials.headers
                )
        except TimeoutError as error:
            message = f"`{introspection.endpoint}`: no answer within {ISSUER_TIMEOUT_SECONDS:g} s"
            raise ProviderUnavailable(message) from error
        if status != 200 or not isinstance(document, Mapping):
            raise ProviderUnavailable(
                f"`{introspection.endpoint}`: status {status} or not a JSON object"
            )
        return document

    async def start(self) -> None:
        """Do nothing: there is nothing to prefetch."""

    async def aclose(self) -> None:
        """Stop pending requests and close the connection."""
        await self._tasks.aclose()
        await self._connection.aclose()
