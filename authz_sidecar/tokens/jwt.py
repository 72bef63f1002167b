"""Tokens that their issuer signed: judged here, with the issuer's keys, which are fetched before
anybody asks and then only for a `kid` never seen, at a limited rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.caching import Remembered
from authz_sidecar.core.types import SessionKind
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.oidc.backoff import BackOff
from authz_sidecar.oidc.http_client import Connection, Trust, fetch
from authz_sidecar.oidc.jwks_cache import KeyCache, key_set
from authz_sidecar.oidc.jws import ALGORITHMS, Jwk, TokenHeader, read_header, verify_signature
from authz_sidecar.oidc.metadata import discovery_url
from authz_sidecar.tokens.claims import Accepted, Claims, accepted, unverified_part
from authz_sidecar.tokens.settings import (
    ANSWER_SECONDS,
    LARGEST_TOKEN,
    LONGEST_REMEMBERED_SECONDS,
    MOST_REMEMBERED,
    TYPES,
    TokenRefused,
)

if TYPE_CHECKING:
    from authz_sidecar.tokens.settings import IssuerSettings

_REQUIRED = ("iss", "aud", "exp", "iat", "sub")


class SignedTokens:
    """One issuer's. `trust` are the authorities that its server's certificate is judged by."""

    def __init__(
        self, settings: IssuerSettings, *, clock: Callable[[], float], trust: Trust
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._connection = Connection(trust)
        self._keys = KeyCache(self._fetch, clock=clock)
        self._jwks_uri = settings.jwks_uri
        self._back_off = BackOff(f"token issuer `{settings.name}`", clock=clock)
        self._remembered: Remembered[Accepted] = Remembered(most=MOST_REMEMBERED)
        self._tasks = BackgroundTasks()

    @property
    def kinds(self) -> frozenset[str]:
        """What a token may call itself in `typ` (RFC 7515 section 4.1.9: `application/` may be left
        out)."""
        types = self.settings.types
        return frozenset((*types, *(f"application/{each}" for each in types)))

    async def judge(self, token: str) -> Accepted:
        """Raises `TokenRefused`, and `ProviderUnavailable` while nobody can tell."""
        now = self._clock()
        known = self._remembered.get(token, now=now)
        if known is not None:
            return known
        found = accepted(
            await self._verified(token), kind=SessionKind.TOKEN, settings=self.settings, now=now
        )
        until = min(found.expires_at + self.settings.leeway, now + LONGEST_REMEMBERED_SECONDS)
        self._remembered.put(token, found, until=until)
        return found

    async def _verified(self, token: str) -> Claims:
        if len(token) > LARGEST_TOKEN:
            raise TokenRefused(f"token of {len(token)} bytes")
        try:
            header = read_header(token, algorithms=self.settings.algorithms, kinds=self.kinds)
            self._check_type(token)
            return await self._signed(token, header)
        except TokenRefused:
            raise
        except LoginRefused as error:
            raise TokenRefused(str(error)) from error

    def _check_type(self, token: str) -> None:
        # RFC 9068 section 4: a resource server that expects `at+jwt` rejects any other, none too.
        header = unverified_part(token, 0) or {}
        if set(self.settings.types) != set(TYPES) and header.get("typ") is None:
            raise TokenRefused("token does not say its type")

    async def _signed(self, token: str, header: TokenHeader) -> Claims:
        def judged(key: Jwk) -> Claims:
            return verify_signature(
                token,
                key=key,
                algorithm=header.algorithm,
                issuer=self.settings.issuer,
                audience=None,  # several may be ours: `check_audience`
                required=_REQUIRED,
            )

        # Anybody may bring garbage that names a key of theirs: that must not cost the issuer a question.
        return await self._keys.judge(header, judged, names_are_reused=False)

    async def start(self) -> None:
        """Fetch the keys in the background. Returns at once."""
        self._tasks.keep(self._reach, name=f"token issuer `{self.settings.name}`")

    async def aclose(self) -> None:
        await self._tasks.aclose()
        await self._connection.aclose()

    async def _reach(self) -> None:
        while True:
            try:
                # Which key does not matter: to look for one is to have them all.
                await self._keys.key_for(TokenHeader(algorithm=ALGORITHMS[0], key_id=None))
            except ProviderUnavailable:
                await self._back_off.pause()
            except LoginRefused:
                return
            else:
                return

    async def _fetch(self) -> tuple[Jwk, ...]:
        """Fails at once while the issuer is known to be down: no request waits for it twice."""
        if self._back_off.waits:
            raise self._out_of_reach()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                keys = await self._ask()
        except (ProviderUnavailable, TimeoutError) as error:
            self._back_off.failed(str(error) or f"no answer within {ANSWER_SECONDS:g} s")
            raise self._out_of_reach() from error
        self._back_off.answered()
        return keys

    def _out_of_reach(self) -> ProviderUnavailable:
        return ProviderUnavailable(f"token issuer `{self.settings.name}`: {self._back_off.reason}")

    async def _ask(self) -> tuple[Jwk, ...]:
        client = await self._connection.client()
        bearer = await self._own_token()
        if self._jwks_uri is None:
            found = await fetch(client, discovery_url(self.settings.issuer), bearer=bearer)
            document = found.json()
            self._jwks_uri = jwks_uri(document, issuer=self.settings.issuer)
        document = (await fetch(client, self._jwks_uri, bearer=bearer)).json()
        return key_set(document, url=self._jwks_uri)

    async def _own_token(self) -> str | None:
        """Read anew each time: Kubernetes replaces it."""
        path = self.settings.bearer_token_file
        if path is None:
            return None
        try:
            return (await asyncio.to_thread(Path(path).read_text, "ascii")).strip()
        except (OSError, ValueError) as error:
            raise ProviderUnavailable(f"`{path}` cannot be read") from error


def jwks_uri(document: object, *, issuer: str) -> str:
    """Of a discovery document (Discovery 1.0 section 4.3, RFC 8414 section 3.3), which has to be
    that of this very issuer. Raises `ProviderUnavailable`."""
    if not isinstance(document, Mapping) or document.get("issuer") != issuer:
        raise ProviderUnavailable(f"what is found at `{issuer}` is not about that issuer")
    uri = document.get("jwks_uri")
    try:
        origin, _ = parse_url(str(uri))
    except MalformedUrl as error:
        raise ProviderUnavailable(f"`{issuer}` does not say where its keys are") from error
    if origin.scheme != "https" and not origin.is_loopback:
        raise ProviderUnavailable(f"`{issuer}` has its keys at a place that is not https")
    return str(uri)
