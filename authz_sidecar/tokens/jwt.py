"""Signed access tokens, verified with the issuer's keys, which are fetched in advance and then only
for an unknown `kid`, at a limited rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.caching import TTLCache
from authz_sidecar.core.types import SessionKind
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.oidc.backoff import BackOff
from authz_sidecar.oidc.http_client import HttpConnection, TLSContext, fetch
from authz_sidecar.oidc.jwks_cache import JWKSCache, parse_jwks
from authz_sidecar.oidc.jws import ALGORITHMS, Jwk, TokenHeader, parse_header, verify_signature
from authz_sidecar.oidc.metadata import discovery_url
from authz_sidecar.tokens.claims import Claims, VerifiedToken, unverified_jwt_part, verify_claims
from authz_sidecar.tokens.settings import (
    DEFAULT_TYPES,
    ISSUER_TIMEOUT_SECONDS,
    MAX_CACHE_SECONDS,
    MAX_CACHED_TOKENS,
    MAX_TOKEN_BYTES,
    TokenRefused,
)

if TYPE_CHECKING:
    from authz_sidecar.tokens.settings import IssuerSettings

_REQUIRED = ("iss", "aud", "exp", "iat", "sub")


class JWTVerifier:
    """Verifies the signed tokens of one issuer. `tls_context` has the authorities trusted for its
    server."""

    def __init__(
        self, settings: IssuerSettings, *, clock: Callable[[], float], tls_context: TLSContext
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._connection = HttpConnection(tls_context)
        self._keys = JWKSCache(self._fetch_keys, clock=clock)
        self._jwks_uri = settings.jwks_uri
        self._back_off = BackOff(f"token issuer `{settings.name}`", clock=clock)
        self._cache: TTLCache[VerifiedToken] = TTLCache(max_entries=MAX_CACHED_TOKENS)
        self._tasks = BackgroundTasks()

    @property
    def accepted_types(self) -> frozenset[str]:
        """The accepted values of `typ`, with and without `application/` (RFC 7515 section 4.1.9)."""
        types = self.settings.types
        return frozenset((*types, *(f"application/{name}" for name in types)))

    async def verify(self, token: str) -> VerifiedToken:
        """Return the verified token.

        Raises `TokenRefused`, and `ProviderUnavailable` when the keys cannot be fetched.
        """
        now = self._clock()
        cached = self._cache.get(token, now=now)
        if cached is not None:
            return cached
        verified = verify_claims(
            await self._verified_claims(token),
            kind=SessionKind.TOKEN,
            settings=self.settings,
            now=now,
        )
        until = min(verified.expires_at + self.settings.leeway, now + MAX_CACHE_SECONDS)
        self._cache.put(token, verified, until=until)
        return verified

    async def _verified_claims(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused(f"token of {len(token)} bytes")
        try:
            header = parse_header(
                token, algorithms=self.settings.algorithms, kinds=self.accepted_types
            )
            self._check_type(token)
            return await self._verify_signature(token, header)
        except TokenRefused:
            raise
        except LoginRefused as error:
            raise TokenRefused(str(error)) from error

    def _check_type(self, token: str) -> None:
        # RFC 9068 section 4: a resource server that expects `at+jwt` rejects any other, none too.
        header = unverified_jwt_part(token, 0) or {}
        if set(self.settings.types) != set(DEFAULT_TYPES) and header.get("typ") is None:
            raise TokenRefused("token does not say its type")

    async def _verify_signature(self, token: str, header: TokenHeader) -> Claims:
        def verify_with(key: Jwk) -> Claims:
            return verify_signature(
                token,
                key=key,
                algorithm=header.algorithm,
                issuer=self.settings.issuer,
                audience=None,  # several may be ours: `check_audience`
                required=_REQUIRED,
            )

        # Any client can send garbage with a `kid` of the issuer: that must not cause a request to it.
        return await self._keys.verify_with_key(header, verify_with, kid_may_be_reused=False)

    async def start(self) -> None:
        """Fetch the keys in the background. Returns at once."""
        self._tasks.supervise(self._prefetch_keys, name=f"token issuer `{self.settings.name}`")

    async def aclose(self) -> None:
        """Stop fetching and close the connection."""
        await self._tasks.aclose()
        await self._connection.aclose()

    async def _prefetch_keys(self) -> None:
        while True:
            try:
                # Looking up any key fetches all of them.
                await self._keys.key_for(TokenHeader(algorithm=ALGORITHMS[0], key_id=None))
            except ProviderUnavailable:
                await self._back_off.pause()
            except LoginRefused:
                return
            else:
                return

    async def _fetch_keys(self) -> tuple[Jwk, ...]:
        """Fetch the keys; fails at once while backing off, so that no request waits for a failed
        issuer again."""
        if self._back_off.is_backing_off:
            raise self._unavailable()
        try:
            async with asyncio.timeout(ISSUER_TIMEOUT_SECONDS):
                keys = await self._request_keys()
        except (ProviderUnavailable, TimeoutError) as error:
            self._back_off.failed(str(error) or f"no answer within {ISSUER_TIMEOUT_SECONDS:g} s")
            raise self._unavailable() from error
        self._back_off.succeeded()
        return keys

    def _unavailable(self) -> ProviderUnavailable:
        return ProviderUnavailable(f"token issuer `{self.settings.name}`: {self._back_off.reason}")

    async def _request_keys(self) -> tuple[Jwk, ...]:
        client = await self._connection.client()
        bearer = await self._read_bearer_token()
        if self._jwks_uri is None:
            metadata_response = await fetch(
                client, discovery_url(self.settings.issuer), bearer=bearer
            )
            document = metadata_response.json()
            self._jwks_uri = jwks_uri_from_metadata(document, issuer=self.settings.issuer)
        document = (await fetch(client, self._jwks_uri, bearer=bearer)).json()
        return parse_jwks(document, url=self._jwks_uri)

    async def _read_bearer_token(self) -> str | None:
        """Return the token of the file, read each time because Kubernetes replaces it."""
        path = self.settings.bearer_token_file
        if path is None:
            return None
        try:
            return (await asyncio.to_thread(Path(path).read_text, "ascii")).strip()
        except (OSError, ValueError) as error:
            raise ProviderUnavailable(f"`{path}` cannot be read") from error


def jwks_uri_from_metadata(metadata: object, *, issuer: str) -> str:
    """Return `jwks_uri` of a metadata document (Discovery 1.0 section 4.3, RFC 8414 section 3.3).

    Raises `ProviderUnavailable` when the document is of another issuer or the URI is not https.
    """
    if not isinstance(metadata, Mapping) or metadata.get("issuer") != issuer:
        raise ProviderUnavailable(f"what is found at `{issuer}` is not about that issuer")
    uri = metadata.get("jwks_uri")
    try:
        origin, _ = parse_url(str(uri))
    except MalformedUrl as error:
        raise ProviderUnavailable(f"`{issuer}` does not say where its keys are") from error
    if origin.scheme != "https" and not origin.is_loopback:
        raise ProviderUnavailable(f"`{issuer}` has its keys at a place that is not https")
    return str(uri)
