"""The verifier of everything one provider signs: ID tokens, logout tokens, userinfo."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.errors import LoginRefused
from authz_sidecar.login.providers.userinfo import signed_header, signed_userinfo
from authz_sidecar.oidc.id_token import KINDS, ExpectedClaims, VerifiedClaims, verify_id_token
from authz_sidecar.oidc.jwks_cache import JWKSCache, parse_jwks
from authz_sidecar.oidc.jws import Jwk, TokenHeader, parse_header
from authz_sidecar.oidc.logout_token import KINDS as LOGOUT_KINDS
from authz_sidecar.oidc.logout_token import LogoutToken, verify_logout_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from authz_sidecar.login.providers.settings import ProviderSettings
    from authz_sidecar.oidc.http_client import HttpBody
    from authz_sidecar.oidc.metadata import ProviderMetadata

T = TypeVar("T")


class TokenVerifier:
    """Verifies one provider's tokens with its published keys.

    `metadata`: returns the provider's metadata; raises `ProviderUnavailable`.
    `fetch`: returns the JSON at a URL; raises `ProviderUnavailable`.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        metadata: Callable[[], Awaitable[ProviderMetadata]],
        fetch: Callable[[str], Awaitable[object]],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._metadata = metadata
        self._fetch = fetch
        self._clock = clock
        self._keys = JWKSCache(self._fetch_keys, clock=clock)

    async def id_token(self, token: str, access_token: str, *, nonce: str | None) -> VerifiedClaims:
        """Return the claims of a verified ID token. Raises `LoginRefused` and
        `ProviderUnavailable`.

        `access_token`: the token that `at_hash` is checked against.
        `nonce`: the nonce of the authorization request; None for a refreshed token.
        """
        settings = self._settings
        header = parse_header(token, algorithms=settings.algorithms, kinds=KINDS)
        expected = ExpectedClaims(
            issuer=settings.issuer,
            client_id=settings.client_id,
            tenants=settings.tenants,
            nonce=nonce,
            algorithms=settings.algorithms,
        )

        def verify(key: Jwk) -> VerifiedClaims:
            now = self._clock()
            return verify_id_token(
                token, key=key, expected=expected, now=now, access_token=access_token
            )

        return await self._with_key(header, verify)

    async def logout_token(self, token: str) -> LogoutToken:
        """Return the claims of a verified logout token for this client. Raises `LoginRefused` and
        `ProviderUnavailable`."""
        settings = self._settings
        header = parse_header(token, algorithms=settings.algorithms, kinds=LOGOUT_KINDS)

        def verify(key: Jwk) -> LogoutToken:
            return verify_logout_token(
                token,
                key=key,
                issuer=settings.issuer,
                client_id=settings.client_id,
                algorithms=settings.algorithms,
                now=self._clock(),
            )

        return await self._with_key(header, verify)

    async def userinfo(self, body: HttpBody) -> Mapping[str, object]:
        """Return the claims of a verified, signed userinfo response. Raises `LoginRefused` and
        `ProviderUnavailable`."""
        settings, text = self._settings, body.content.decode(errors="replace").strip()
        header = signed_header(text, algorithms=settings.algorithms)

        def verify(key: Jwk) -> Mapping[str, object]:
            return signed_userinfo(text, key=key, settings=settings, now=self._clock())

        return await self._with_key(header, verify)

    async def _with_key(self, header: TokenHeader, verify: Callable[[Jwk], T]) -> T:
        return await self._keys.verify_with_key(header, verify, kid_may_be_reused=True)

    async def _fetch_keys(self) -> tuple[Jwk, ...]:
        uri = (await self._metadata()).jwks_uri
        if uri is None:
            raise LoginRefused(f"identity provider `{self._settings.name}` signs nothing")
        return parse_jwks(await self._fetch(uri), url=uri)
