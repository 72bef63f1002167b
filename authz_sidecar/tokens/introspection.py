"""Tokens of which only their issuer knows whose they are (RFC 7662): asked once, believed for a short
while, and asked for nobody more often than the throttle allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.caching import Remembered
from authz_sidecar.core.types import SessionKind
from authz_sidecar.errors import AuthzError, ProviderUnavailable
from authz_sidecar.oidc.client_authentication import by_secret
from authz_sidecar.oidc.http_client import Connection, Trust, post_form
from authz_sidecar.tokens.claims import Accepted, accepted
from authz_sidecar.tokens.settings import (
    ANSWER_SECONDS,
    LARGEST_TOKEN,
    MOST_REMEMBERED,
    TokenRefused,
)

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address
    from authz_sidecar.tokens.settings import Introspection, IssuerSettings

INACTIVE_SECONDS = 5.0
"""How long a token is known not to count: it may be about to."""
MOST_INACTIVE = 1024
MOST_AT_ONCE = 50


class Admitting(Protocol):
    async def admit(self, client: Address | None) -> None:
        """Raises `Throttled`."""


class IntrospectedTokens:
    """One issuer's. `throttle` counts the questions that a network causes."""

    def __init__(
        self,
        settings: IssuerSettings,
        asked: Introspection,
        *,
        clock: Callable[[], float],
        trust: Trust,
        throttle: Admitting,
    ) -> None:
        self.settings = settings
        self._asked = asked
        self._clock = clock
        self._connection = Connection(trust)
        self._throttle = throttle
        self._active: Remembered[Accepted] = Remembered(most=MOST_REMEMBERED)
        self._inactive: Remembered[TokenRefused] = Remembered(most=MOST_INACTIVE)
        self._asking: dict[str, asyncio.Task[Accepted]] = {}
        self._tasks = BackgroundTasks()

    async def judge(self, token: str, *, client: Address | None) -> Accepted:
        """Raises `TokenRefused`, `Throttled`, and `ProviderUnavailable` while nobody can tell."""
        now = self._clock()
        known = self._active.get(token, now=now)
        if known is not None:
            return known
        refused = self._inactive.get(token, now=now)
        if refused is not None:
            raise TokenRefused(str(refused), code=refused.code, public=refused.public)
        if len(token) > LARGEST_TOKEN:
            raise TokenRefused(f"token of {len(token)} bytes")
        task = self._asking.get(token)
        if task is None:
            await self._throttle.admit(client)
            task = self._asking.get(token) or self._begin(token)
        # Whoever hangs up leaves the question to the others that wait for it.
        return await asyncio.shield(task)

    def _begin(self, token: str) -> asyncio.Task[Accepted]:
        if len(self._asking) >= MOST_AT_ONCE:
            raise ProviderUnavailable(f"token issuer `{self.settings.name}` is asked too much")
        task = self._tasks.start(
            self._ask(token),
            name=f"introspection by `{self.settings.name}`",
            expected=(AuthzError,),
        )
        self._asking[token] = task
        task.add_done_callback(lambda _: self._asking.pop(token))
        return task

    async def _ask(self, token: str) -> Accepted:
        claims = await self._answer(token)
        now = self._clock()
        try:
            found = self._judged(claims, now=now)
        except TokenRefused as error:
            self._inactive.put(token, error, until=now + INACTIVE_SECONDS)
            raise
        until = min(found.expires_at, now + self._asked.cache)
        self._active.put(token, found, until=until)
        return found

    def _judged(self, claims: Mapping[str, object], *, now: float) -> Accepted:
        # Section 2.2: "active" is REQUIRED and a boolean; nothing else counts as one.
        if claims.get("active") is not True:
            raise TokenRefused("token is not active")
        if claims.get("iss", self.settings.issuer) != self.settings.issuer:
            raise TokenRefused("token is of another issuer")
        if "exp" not in claims:
            # It lasts until we ask again, which is soon.
            claims = {**claims, "iat": now, "exp": now + self._asked.cache}
        return accepted(claims, kind=SessionKind.INTROSPECTED, settings=self.settings, now=now)

    async def _answer(self, token: str) -> Mapping[str, object]:
        asked = self._asked
        proof = by_secret(
            asked.client_id,
            asked.client_secret,
            in_form=asked.client_authentication == "client_secret_post",
        )
        form = {"token": token, "token_type_hint": "access_token", **proof.form}
        client = await self._connection.client()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, document = await post_form(
                    client, asked.endpoint, form, headers=proof.headers
                )
        except TimeoutError as error:
            message = f"`{asked.endpoint}`: no answer within {ANSWER_SECONDS:g} s"
            raise ProviderUnavailable(message) from error
        if status != 200 or not isinstance(document, Mapping):
            raise ProviderUnavailable(f"`{asked.endpoint}`: status {status} or not a JSON object")
        return document

    async def start(self) -> None:
        """Nothing to do before the first token."""

    async def aclose(self) -> None:
        await self._tasks.aclose()
        await self._connection.aclose()
