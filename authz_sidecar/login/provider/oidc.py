"""One OpenID provider: asked lazily, remembered, and missed with patience.

Decides what is sent to the provider and what of its answers is believed. Keeps no data of any
sign-in: whatever belongs to one travels in arguments. Must not know of browsers or sessions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from authz_sidecar.errors import ProviderUnavailable
from authz_sidecar.login.claims import identity_of, merge_userinfo
from authz_sidecar.login.idtoken import KINDS, Expected, VerifiedClaims, verify
from authz_sidecar.login.jws import BadSignature, Jwk, TokenHeader, read_header
from authz_sidecar.login.keys import KeyCache
from authz_sidecar.login.logouttoken import KINDS as LOGOUT_KINDS
from authz_sidecar.login.logouttoken import LogoutToken, verify_logout
from authz_sidecar.login.provider.code import (
    RefreshRefused,
    Tokens,
    redeem_code,
    redeem_refresh_token,
)
from authz_sidecar.login.provider.metadata import Metadata, discovery_url, parse_metadata
from authz_sidecar.login.provider.settings import (
    FIRST_BACK_OFF_SECONDS,
    LONGEST_BACK_OFF_SECONDS,
    METADATA_FRESH_SECONDS,
    ProviderSettings,
)
from authz_sidecar.login.provider.transport import Connection, Trust, get_json

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity

T = TypeVar("T")

_log = logging.getLogger(__name__)
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A sign-in that succeeded at the provider. `session` is the provider's own name for it."""

    identity: Identity
    session: str | None
    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None


class Provider:
    def __init__(
        self, settings: ProviderSettings, *, clock: Callable[[], float], trust: Trust | None = None
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._connection = Connection(trust or Trust())
        self._metadata: Metadata | None = None
        self._ask_again_at = 0.0
        self._back_off = FIRST_BACK_OFF_SECONDS
        self._last_error = ""
        self._lock = asyncio.Lock()
        self._keys = KeyCache(self._fetch_keys, clock=clock)
        self._first_contact: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def ready(self) -> bool:
        """Whether it was ever reached; a provider that is down later does not end sessions."""
        return self._metadata is not None

    async def start(self) -> None:
        """Try in the background until the provider is reached once. Returns at once."""
        self._first_contact = asyncio.create_task(self._reach())

    async def aclose(self) -> None:
        if self._first_contact is not None:
            self._first_contact.cancel()
            await asyncio.gather(self._first_contact, return_exceptions=True)
        await self._connection.aclose()

    async def _reach(self) -> None:
        while not self.ready:
            try:
                await self.metadata()
            except ProviderUnavailable:
                await asyncio.sleep(max(0.1, self._ask_again_at - self._clock()))

    async def metadata(self) -> Metadata:
        """Raises `ProviderUnavailable` at once while the provider is known to be down."""
        if self._clock() < self._ask_again_at or (self.ready and self._lock.locked()):
            return self._known()  # old news is good enough while somebody asks for newer
        async with self._lock:
            if self._clock() >= self._ask_again_at:
                await self._discover()
        return self._known()

    def _known(self) -> Metadata:
        if self._metadata is None:
            raise ProviderUnavailable(self._last_error)
        return self._metadata

    async def _discover(self) -> None:
        try:
            document = await self._get(discovery_url(self.settings.issuer))
            self._metadata = parse_metadata(document, issuer=self.settings.issuer)
        except ProviderUnavailable as error:
            if not self._last_error:
                _log.warning(
                    "identity provider `%s` is out of reach, trying on: %s", self.name, error
                )
            self._last_error = str(error)
            self._ask_again_at = self._clock() + self._back_off
            self._back_off = min(self._back_off * 2, LONGEST_BACK_OFF_SECONDS)
            return
        if self._last_error:
            _log.info("identity provider `%s` answers again", self.name)
        self._last_error = ""
        self._ask_again_at = self._clock() + METADATA_FRESH_SECONDS
        self._back_off = FIRST_BACK_OFF_SECONDS

    async def authorization_url(
        self,
        *,
        state: str,
        nonce: str,
        verifier: str,
        redirect_uri: str,
        extra: Mapping[str, str] | None = None,
    ) -> str:
        metadata = await self.metadata()
        mode = self.settings.response_mode
        client = await self._connection.client(client_id=self.settings.client_id)
        url, _ = client.create_authorization_url(
            metadata.authorization_endpoint,
            state=state,
            code_verifier=verifier,
            redirect_uri=redirect_uri,
            scope=" ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            nonce=nonce,
            response_mode=mode if mode != "query" else None,
            **(extra or {}),
        )
        return str(url)

    async def redeem(self, *, code: str, verifier: str, nonce: str, redirect_uri: str) -> SignedIn:
        """Exchange a code whose state has been checked; raises `LoginRefused`."""
        metadata = await self.metadata()
        tokens = await redeem_code(
            self._connection,
            settings=self.settings,
            metadata=metadata,
            code=code,
            verifier=verifier,
            redirect_uri=redirect_uri,
        )
        assert tokens.id_token is not None  # noqa: S101  # `redeem_code`
        claims = await self._verified(tokens.id_token, tokens.access_token, nonce=nonce)
        session = claims.get("sid")
        claims = await self._with_userinfo(claims, tokens.access_token)
        return SignedIn(
            identity=identity_of(claims, provider=self.name, rules=self.settings.claims),
            session=session if isinstance(session, str) and session else None,
            id_token=tokens.id_token,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_at=None if tokens.lifetime is None else self._clock() + tokens.lifetime,
        )

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens; raises `RefreshRefused` when there will be none. Keep them before `read`."""
        return await redeem_refresh_token(
            self._connection,
            settings=self.settings,
            metadata=await self.metadata(),
            refresh_token=refresh_token,
        )

    async def read_again(self, tokens: Tokens, *, before: Identity) -> Identity:
        """Who the provider says this is now; raises `LoginRefused` when it is somebody else."""
        if tokens.id_token is not None:
            claims = await self._verified(tokens.id_token, tokens.access_token, nonce=None)
        else:
            # What only ID tokens say stays as it was said last.
            claims = VerifiedClaims({"iss": before.issuer, **before.claims})
        claims = await self._with_userinfo(claims, tokens.access_token)
        now = identity_of(claims, provider=self.name, rules=self.settings.claims)
        # OpenID Connect Core, 12.2: `iss` and `sub` must be the same, `auth_time` the original.
        same = (now.issuer, now.subject) == (before.issuer, before.subject)
        if not same or claims.get("sub") != before.claims.get("sub", claims.get("sub")):
            raise RefreshRefused("the refreshed tokens are about somebody else")
        return replace(
            now,
            authenticated_at=before.authenticated_at,
            acr=now.acr or before.acr,
            amr=now.amr or before.amr,
        )

    async def _with_userinfo(self, claims: VerifiedClaims, access_token: str) -> VerifiedClaims:
        endpoint = (await self.metadata()).userinfo_endpoint
        if endpoint is None:
            return claims
        userinfo = await self._get(endpoint, bearer=access_token)
        if not isinstance(userinfo, Mapping):
            raise ProviderUnavailable(f"`{endpoint}`: not a JSON object")
        return merge_userinfo(claims, userinfo)

    def end_session_url(self, *, id_token: str | None, return_to: str, state: str) -> str | None:
        """Where to send the browser so that the provider signs out too (RP-Initiated Logout 1.0,
        section 2); None when the provider does not offer it or was never reached."""
        if self._metadata is None or self._metadata.end_session_endpoint is None:
            return None
        endpoint = self._metadata.end_session_endpoint
        parameters = {
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": return_to,
            "state": state,
        } | ({"id_token_hint": id_token} if id_token else {})
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    async def logout_token(self, token: str) -> LogoutToken:
        """What a logout token of this provider for us says; raises `LoginRefused`."""
        settings = self.settings
        header = read_header(token, algorithms=settings.algorithms, kinds=LOGOUT_KINDS)

        def judged(key: Jwk) -> LogoutToken:
            return verify_logout(
                token,
                key=key,
                issuer=settings.issuer,
                client_id=settings.client_id,
                algorithms=settings.algorithms,
                now=self._clock(),
            )

        return await self._with_key(header, judged)

    async def _verified(
        self, id_token: str, access_token: str, *, nonce: str | None
    ) -> VerifiedClaims:
        settings = self.settings
        header = read_header(id_token, algorithms=settings.algorithms, kinds=KINDS)
        expected = Expected(
            issuer=settings.issuer,
            client_id=settings.client_id,
            nonce=nonce,
            algorithms=settings.algorithms,
        )

        def judged(key: Jwk) -> VerifiedClaims:
            return verify(
                id_token,
                key=key,
                expected=expected,
                now=self._clock(),
                access_token=access_token,
            )

        return await self._with_key(header, judged)

    async def _with_key(self, header: TokenHeader, judged: Callable[[Jwk], T]) -> T:
        key = await self._keys.key_for(header)
        try:
            return judged(key)
        except BadSignature:
            await self._keys.renew()
            renewed = await self._keys.key_for(header)
            if renewed == key:
                raise
            return judged(renewed)

    async def _fetch_keys(self) -> tuple[Jwk, ...]:
        metadata = await self.metadata()
        document = await self._get(metadata.jwks_uri)
        keys = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(keys, list):
            raise ProviderUnavailable(f"`{metadata.jwks_uri}`: not a key set")
        return tuple(key for key in keys[:_MOST_KEYS] if isinstance(key, Mapping))

    async def _get(self, url: str, *, bearer: str | None = None) -> object:
        client = await self._connection.client(client_id=self.settings.client_id)
        return await get_json(client, url, bearer=bearer)
