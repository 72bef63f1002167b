"""One identity provider, as sign-in uses it.

Decides what is sent to the provider and what of its answers is believed. Keeps no data of any
sign-in: whatever belongs to one travels in arguments. Must not know of browsers or sessions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import LoginRefused
from authz_sidecar.login.claims import identity_from_claims, merge_userinfo
from authz_sidecar.login.providers.authorization_request import (
    authorization_request,
    authorization_url,
    end_session_url,
)
from authz_sidecar.login.providers.discovery import Discovery
from authz_sidecar.login.providers.github import github_claims
from authz_sidecar.login.providers.microsoft_graph import graph_groups, groups_are_left_out
from authz_sidecar.login.providers.token_response import RefreshRefused, TokenResponse
from authz_sidecar.login.providers.token_verifier import TokenVerifier
from authz_sidecar.login.providers.userinfo import (
    SIGNED,
    api_url,
    name_from_form_post,
    plain_userinfo,
)
from authz_sidecar.oidc.http_client import (
    AccessDenied,
    HttpBody,
    HttpConnection,
    TLSContext,
    bounded_exchange,
    fetch,
)
from authz_sidecar.oidc.id_token import VerifiedClaims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import Identity
    from authz_sidecar.login.providers.settings import ProviderSettings
    from authz_sidecar.oidc.logout_token import LogoutToken
    from authz_sidecar.oidc.metadata import ProviderMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationResult:
    """A sign-in that succeeded at the provider. `session` is the provider's own name for it."""

    identity: Identity
    session: str | None
    id_token: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None


class OIDCClient:
    def __init__(
        self,
        settings: ProviderSettings,
        *,
        clock: Callable[[], float],
        trust: TLSContext | None = None,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._connection = HttpConnection(trust or TLSContext())
        self._discovery = Discovery(settings, self._get, clock=clock)
        self._tokens = TokenVerifier(
            settings, metadata=self._discovery.metadata, fetch=self._get, clock=clock
        )
        self._tasks = BackgroundTasks()

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def label(self) -> str:
        """What people know it by."""
        return self.settings.label or self.settings.name

    @property
    def ready(self) -> bool:
        """Whether it was ever reached; a provider that is down later does not end sessions."""
        return self._discovery.known is not None

    async def start(self) -> None:
        """Try in the background until the provider is reached once. Returns at once."""
        self._tasks.supervise(self._discovery.reach, name=f"identity provider `{self.name}`")

    async def aclose(self) -> None:
        await self._tasks.aclose()
        await self._connection.aclose()

    async def metadata(self) -> ProviderMetadata:
        """Raises `ProviderUnavailable` at once while the provider is known to be down."""
        return await self._discovery.metadata()

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
        request = authorization_request(
            self.settings,
            state=state,
            nonce=nonce,
            verifier=verifier,
            redirect_uri=redirect_uri,
            extra=extra or {},
        )
        return await authorization_url(
            self._connection,
            request,
            settings=self.settings,
            metadata=metadata,
            now=self._clock(),
        )

    async def redeem(
        self,
        *,
        code: str,
        verifier: str,
        nonce: str,
        redirect_uri: str,
        posted_user: str | None = None,
    ) -> AuthenticationResult:
        """Exchange a code whose state has been checked; raises `LoginRefused`. `posted_user` is what
        the browser brought along about the user, of which only a name is taken, to be shown."""
        metadata = await self.metadata()
        await _import_token_endpoint()
        from authz_sidecar.login.providers.token_request import redeem_code  # noqa: PLC0415

        tokens = await redeem_code(
            self._connection,
            settings=self.settings,
            metadata=metadata,
            code=code,
            verifier=verifier,
            redirect_uri=redirect_uri,
            now=self._clock(),
        )
        claims = VerifiedClaims({})
        if tokens.id_token is not None:
            claims = await self._tokens.id_token(tokens.id_token, tokens.access_token, nonce=nonce)
        session = claims.get("sid")
        claims = await self._enrich_claims(claims, tokens.access_token)
        identity = identity_from_claims(claims, provider=self.name, rules=self.settings.claims)
        if self.settings.kind.posts_user_name and identity.name is None:
            identity = replace(identity, name=name_from_form_post(posted_user))
        return AuthenticationResult(
            identity=identity,
            session=session if isinstance(session, str) and session else None,
            id_token=tokens.id_token,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_at=None if tokens.expires_in is None else self._clock() + tokens.expires_in,
        )

    async def refresh(self, refresh_token: str) -> TokenResponse:
        """New tokens; raises `RefreshRefused` when there will be none. Keep them before `read`."""
        metadata = await self.metadata()
        await _import_token_endpoint()
        from authz_sidecar.login.providers.token_request import redeem_refresh_token  # noqa: PLC0415

        return await redeem_refresh_token(
            self._connection,
            settings=self.settings,
            metadata=metadata,
            refresh_token=refresh_token,
            now=self._clock(),
        )

    async def refreshed_identity(self, tokens: TokenResponse, *, before: Identity) -> Identity:
        """Who the provider says this is now; raises `LoginRefused` when it is somebody else."""
        if tokens.id_token is not None:
            claims = await self._tokens.id_token(tokens.id_token, tokens.access_token, nonce=None)
        else:
            # What only ID tokens say stays as it was said last.
            claims = VerifiedClaims({"iss": before.issuer, **before.claims})
        claims = await self._enrich_claims(claims, tokens.access_token)
        now = identity_from_claims(claims, provider=self.name, rules=self.settings.claims)
        # OpenID Connect Core, 12.2: `iss` and `sub` must be the same, `auth_time` the original.
        same = (now.issuer, now.subject) == (before.issuer, before.subject)
        if not same or claims.get("sub") != before.claims.get("sub", claims.get("sub")):
            raise RefreshRefused("the refreshed tokens are about somebody else")
        return replace(
            now,
            name=now.name or before.name,
            authenticated_at=before.authenticated_at,
            acr=now.acr or before.acr,
            amr=now.amr or before.amr,
        )

    async def _enrich_claims(self, claims: VerifiedClaims, access_token: str) -> VerifiedClaims:
        """The claims of the ID token, and what the provider says beside it."""
        settings, ask = self.settings, partial(self._api, access_token)
        if settings.kind.claims_source == "github":
            async with bounded_exchange(f"`{api_url(settings)}`"):
                return await github_claims(
                    ask, api=api_url(settings), issuer=settings.issuer, scopes=settings.scopes
                )
        left_out = settings.kind.claims_source == "graph" and groups_are_left_out(claims)
        claims = await self._with_userinfo(claims, access_token)
        if left_out:
            async with bounded_exchange(f"`{api_url(settings)}`"):
                groups = await graph_groups(ask, api=api_url(settings))
            claims = VerifiedClaims({**claims, "groups": groups})
        return claims

    async def _with_userinfo(self, claims: VerifiedClaims, access_token: str) -> VerifiedClaims:
        endpoint = (await self.metadata()).userinfo_endpoint
        if endpoint is None:
            return claims
        body = await self._fetch(endpoint, bearer=access_token)
        signed = body.kind == SIGNED
        said = await self._tokens.userinfo(body) if signed else plain_userinfo(body)
        return merge_userinfo(claims, said, verified_claim=self.settings.claims.verified_claim)

    async def _api(self, access_token: str, url: str) -> object:
        try:
            return (await self._fetch(url, bearer=access_token)).json()
        except AccessDenied as error:
            raise LoginRefused(
                f"{error}: were the scopes and permissions for it granted?",
                public_message="The sign-in provider does not say enough about your account.",
            ) from error

    async def logout_token(self, token: str) -> LogoutToken:
        """What a logout token of this provider for us says; raises `LoginRefused`."""
        return await self._tokens.logout_token(token)

    def end_session_url(self, *, id_token: str | None, return_to: str, state: str) -> str | None:
        """Where to send the browser so that the provider signs out too; None when the provider does
        not offer it or was never reached."""
        metadata = self._discovery.known
        if metadata is None:
            return None
        return end_session_url(
            self.settings, metadata, id_token=id_token, return_to=return_to, state=state
        )

    async def _get(self, url: str) -> object:
        return (await self._fetch(url)).json()

    async def _fetch(self, url: str, *, bearer: str | None = None) -> HttpBody:
        client = await self._connection.client()
        return await fetch(client, url, bearer=bearer)


async def _import_token_endpoint() -> None:
    """Beside the event loop: it takes a tenth of a second, the first time."""
    await asyncio.to_thread(import_module, "authz_sidecar.login.providers.token_request")
