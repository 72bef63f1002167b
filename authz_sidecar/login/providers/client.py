"""The client of one identity provider: sends its requests and verifies its responses.

Holds no data of any login; it is passed in arguments. Must not know of browsers or sessions.
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
from authz_sidecar.login.providers.microsoft_graph import graph_groups, has_groups_overage
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
    """A completed authentication at the provider.

    `identity`: the user.
    `session`: the provider's session id (`sid`).
    `expires_at`: when the access token expires, in Unix seconds.
    """

    identity: Identity
    session: str | None
    id_token: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None


class OIDCClient:
    """The client of one identity provider."""

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
        """The provider's id in the configuration."""
        return self.settings.name

    @property
    def label(self) -> str:
        """The provider's name on pages."""
        return self.settings.label or self.settings.name

    @property
    def ready(self) -> bool:
        """Whether the provider's metadata has been loaded once; a later outage does not change it."""
        return self._discovery.cached is not None

    async def start(self) -> None:
        """Start loading the metadata in the background, again and again until it succeeds."""
        self._tasks.supervise(self._discovery.reach, name=f"identity provider `{self.name}`")

    async def aclose(self) -> None:
        """Stop the background task and close the connections."""
        await self._tasks.aclose()
        await self._connection.aclose()

    async def metadata(self) -> ProviderMetadata:
        """Return the provider's metadata. Raises `ProviderUnavailable`, at once during back-off."""
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
        """Return the URL that starts the login at the provider. Raises `ProviderUnavailable`, and
        `LoginRefused` when the provider refuses a pushed request.

        `extra`: parameters of this request, which override the configured ones.
        """
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
        """Exchange an authorization code for tokens and return the verified user; the caller has
        checked `state`. Raises `LoginRefused` and `ProviderUnavailable`.

        `posted_user`: the unsigned user data that the browser posted; only a display name is taken
        from it.
        """
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
        """Return new tokens. Store them before the next request, because the refresh token may
        rotate. Raises `RefreshRefused` when the refresh token is no longer valid, and
        `ProviderUnavailable`."""
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
        """Return the user's current identity, from the refreshed tokens. Raises `RefreshRefused`
        when the tokens belong to another user (OpenID Connect Core, 12.2), `LoginRefused` and
        `ProviderUnavailable`."""
        if tokens.id_token is not None:
            claims = await self._tokens.id_token(tokens.id_token, tokens.access_token, nonce=None)
        else:
            # Claims that only an ID token carries keep their last values.
            claims = VerifiedClaims({"iss": before.issuer, **before.claims})
        claims = await self._enrich_claims(claims, tokens.access_token)
        identity = identity_from_claims(claims, provider=self.name, rules=self.settings.claims)
        # OpenID Connect Core, 12.2: `iss` and `sub` must be the same, `auth_time` the original.
        is_same_user = (identity.issuer, identity.subject) == (before.issuer, before.subject)
        if not is_same_user or claims.get("sub") != before.claims.get("sub", claims.get("sub")):
            raise RefreshRefused("the refreshed tokens belong to another user")
        return replace(
            identity,
            name=identity.name or before.name,
            authenticated_at=before.authenticated_at,
            acr=identity.acr or before.acr,
            amr=identity.amr or before.amr,
        )

    async def _enrich_claims(self, claims: VerifiedClaims, access_token: str) -> VerifiedClaims:
        """Add the claims from userinfo or from the provider's API to those of the ID token."""
        settings, fetch_api = self.settings, partial(self._api, access_token)
        if settings.kind.claims_source == "github":
            async with bounded_exchange(f"`{api_url(settings)}`"):
                return await github_claims(
                    fetch_api, api=api_url(settings), issuer=settings.issuer, scopes=settings.scopes
                )
        groups_missing = settings.kind.claims_source == "graph" and has_groups_overage(claims)
        claims = await self._with_userinfo(claims, access_token)
        if groups_missing:
            async with bounded_exchange(f"`{api_url(settings)}`"):
                groups = await graph_groups(fetch_api, api=api_url(settings))
            claims = VerifiedClaims({**claims, "groups": groups})
        return claims

    async def _with_userinfo(self, claims: VerifiedClaims, access_token: str) -> VerifiedClaims:
        endpoint = (await self.metadata()).userinfo_endpoint
        if endpoint is None:
            return claims
        body = await self._fetch(endpoint, bearer=access_token)
        is_signed = body.kind == SIGNED
        userinfo = await self._tokens.userinfo(body) if is_signed else plain_userinfo(body)
        return merge_userinfo(claims, userinfo, verified_claim=self.settings.claims.verified_claim)

    async def _api(self, access_token: str, url: str) -> object:
        try:
            return (await self._fetch(url, bearer=access_token)).json()
        except AccessDenied as error:
            raise LoginRefused(
                f"{error}: were the scopes and permissions for it granted?",
                public_message="The sign-in provider does not say enough about your account.",
            ) from error

    async def logout_token(self, token: str) -> LogoutToken:
        """Return the claims of a verified logout token for this client. Raises `LoginRefused` and
        `ProviderUnavailable`."""
        return await self._tokens.logout_token(token)

    def end_session_url(self, *, id_token: str | None, return_to: str, state: str) -> str | None:
        """Return the URL that ends the session at the provider, or None when the provider offers
        none or its metadata has never been loaded."""
        metadata = self._discovery.cached
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
    """Import the module in a thread: the first import takes a tenth of a second."""
    await asyncio.to_thread(import_module, "authz_sidecar.login.providers.token_request")
