"""The token request: exchanges an authorization code or a refresh token at the token endpoint.

Import it at the first use: Authlib takes two megabytes, which many workers never need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.common.urls import add_params_to_qs  # type: ignore[import-untyped]
from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.login.providers.client_authentication import client_credentials
from authz_sidecar.login.providers.token_response import RefreshRefused, TokenResponse
from authz_sidecar.oidc.http_client import HttpConnection, bounded_exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from authz_sidecar.login.providers.settings import ProviderSettings
    from authz_sidecar.oidc.client_authentication import ClientCredentials
    from authz_sidecar.oidc.metadata import ProviderMetadata


async def redeem_code(
    connection: HttpConnection,
    *,
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    code: str,
    verifier: str,
    redirect_uri: str,
    now: float,
) -> TokenResponse:
    """Exchange an authorization code for tokens (RFC 6749 section 4.1.3). Raises `LoginRefused`
    when the provider refuses the code, or sends no ID token although it speaks OpenID Connect; and
    `ProviderUnavailable`."""
    try:
        token = await _request_token(
            connection,
            settings,
            metadata,
            now=now,
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            redirect_uri=redirect_uri,
        )
    except OAuthError as error:
        raise LoginRefused(
            f"identity provider `{settings.name}` refused the code: `{error.error!s:.60}`"
        ) from None
    if settings.kind.oauth2 is not None:
        return _tokens(token, id_token=None)
    id_token = _text(token, "id_token")
    if id_token is None:
        raise LoginRefused("the provider sent no ID token; is the scope `openid` allowed there?")
    return _tokens(token, id_token=id_token)


async def redeem_refresh_token(
    connection: HttpConnection,
    *,
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    refresh_token: str,
    now: float,
) -> TokenResponse:
    """Return new tokens for a refresh token (RFC 6749 section 6). Raises `RefreshRefused` when it
    is no longer valid (`invalid_grant`), and `ProviderUnavailable` for every other error, including
    a wrong client secret."""
    try:
        token = await _request_token(
            connection,
            settings,
            metadata,
            now=now,
            grant_type="refresh_token",
            refresh_token=refresh_token,
        )
    except OAuthError as error:
        message = f"identity provider `{settings.name}` refused to refresh: `{error.error!s:.60}`"
        if error.error == "invalid_grant":
            raise RefreshRefused(message) from None
        raise ProviderUnavailable(message) from None
    # OpenID Connect Core, 12.2: the response may leave out the ID token.
    is_openid = settings.kind.oauth2 is None
    return _tokens(token, id_token=_text(token, "id_token") if is_openid else None)


async def _request_token(
    connection: HttpConnection,
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    *,
    now: float,
    **parameters: str,
) -> Mapping[str, object]:
    """Raises `OAuthError`. Log only its code: the description may quote what was sent."""
    # Authlib keeps the last token in the client: concurrent logins must not share one.
    client = AsyncOAuth2Client(
        client_id=settings.client_id,
        token_endpoint_auth_method=_client_auth_method(
            client_credentials(settings, metadata, endpoint=metadata.token_endpoint, now=now)
        ),
        **await connection.options(),
    )
    async with bounded_exchange(f"`{metadata.token_endpoint}`"):
        try:
            token: Mapping[str, object] = await client.fetch_token(
                metadata.token_endpoint, **parameters
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise ProviderUnavailable(
                f"`{metadata.token_endpoint}`: not a token response"
            ) from error
    return token


def _tokens(token: Mapping[str, object], *, id_token: str | None) -> TokenResponse:
    if str(token.get("token_type", "")).lower() != "bearer":
        raise LoginRefused("the provider sent no bearer token")
    access_token = _text(token, "access_token")
    if access_token is None:
        raise LoginRefused("the provider sent no access token")
    lifetime = token.get("expires_in")
    has_lifetime = isinstance(lifetime, int | float) and 0 < lifetime < 1e9
    return TokenResponse(
        id_token=id_token,
        access_token=access_token,
        refresh_token=_text(token, "refresh_token"),
        expires_in=lifetime if has_lifetime and isinstance(lifetime, int | float) else None,
    )


def _text(token: Mapping[str, object], name: str) -> str | None:
    value = token.get(name)
    return value if isinstance(value, str) and value else None


def _client_auth_method(
    credentials: ClientCredentials,
) -> Callable[..., tuple[str, MutableMapping[str, str], object]]:
    def authenticate(
        _client: object, _method: str, uri: str, headers: MutableMapping[str, str], body: object
    ) -> tuple[str, MutableMapping[str, str], object]:
        headers.update(credentials.headers)
        return uri, headers, add_params_to_qs(body or "", list(credentials.form.items()))

    return authenticate
