"""The authorization request and the logout request: their parameters, and whether the browser
carries the authorization request or it is pushed (RFC 9126)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.login.providers.client_authentication import client_credentials
from authz_sidecar.oidc.http_client import HttpConnection, post_form

if TYPE_CHECKING:
    from authz_sidecar.login.providers.settings import ProviderSettings
    from authz_sidecar.oidc.metadata import ProviderMetadata

_MAX_REQUEST_URI_LENGTH = 2048


def authorization_request(
    settings: ProviderSettings,
    *,
    state: str,
    nonce: str,
    verifier: str,
    redirect_uri: str,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Return the parameters of the authorization request (RFC 6749 section 4.1.1, OpenID Connect
    Core, 3.1.2.1).

    `extra`: parameters of this request, which override the configured ones; an empty value removes
    one.
    """
    is_oauth2, mode = settings.kind.oauth2 is not None, settings.response_mode
    scopes = settings.scopes if is_oauth2 else dict.fromkeys(("openid", *settings.scopes))
    parameters = {**settings.authorization_parameters, **extra}
    return {
        **{name: value for name, value in parameters.items() if value},
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        **({} if is_oauth2 else {"nonce": nonce}),
        # RFC 7636 section 4.2: BASE64URL-ENCODE(SHA256(ASCII(code_verifier))); never `plain`.
        "code_challenge": base64url_encode(sha256(verifier.encode("ascii")).digest()),
        "code_challenge_method": "S256",
        **({} if mode == "query" else {"response_mode": mode}),
    }


async def authorization_url(
    connection: HttpConnection,
    request: Mapping[str, str],
    *,
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    now: float,
) -> str:
    """Return the URL that starts the login at the provider, after pushing the request where the
    provider takes pushed requests (RFC 9126).

    Raises `ProviderUnavailable`, and `LoginRefused` when the provider refuses a pushed request: it
    is not sent again through the browser, where it would be visible.
    """
    pushed = metadata.pushed_authorization_request_endpoint
    mode = settings.pushed_authorization_requests
    if mode == "required" and pushed is None:
        raise ProviderUnavailable(
            f"identity provider `{settings.name}` offers no pushed authorization requests, and"
            " `pushed_authorization_requests` requires them"
        )
    if pushed is not None and (mode != "never" or metadata.requires_pushed_requests):
        # RFC 9126 section 4: `client_id` and `request_uri` are all that the browser carries.
        request_uri = await _push_request(connection, pushed, request, settings, metadata, now=now)
        request = {"client_id": settings.client_id, "request_uri": request_uri}
    endpoint = metadata.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(request)}"


async def _push_request(
    connection: HttpConnection,
    endpoint: str,
    request: Mapping[str, str],
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    *,
    now: float,
) -> str:
    credentials = client_credentials(settings, metadata, endpoint=endpoint, now=now)
    client = await connection.client()
    form = {**request, **credentials.form}
    status, document = await post_form(client, endpoint, form, headers=credentials.headers)
    response = document if isinstance(document, Mapping) else {}
    if 400 <= status < 500 and "error" in response:
        raise LoginRefused(
            f"identity provider `{settings.name}` refused the pushed request:"
            f" `{response['error']!s:.60}`"
        )
    request_uri = response.get("request_uri")
    # RFC 9126 section 2.2 demands 201; some providers send 200.
    if (
        status not in (200, 201)
        or not isinstance(request_uri, str)
        or not 0 < len(request_uri) <= _MAX_REQUEST_URI_LENGTH
    ):
        raise ProviderUnavailable(f"`{endpoint}`: status {status} and no request URI")
    return request_uri


def end_session_url(
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    *,
    id_token: str | None,
    return_to: str,
    state: str,
) -> str | None:
    """Return the URL that ends the session at the provider: RP-Initiated Logout 1.0 section 2, or
    the preset's own logout. None when the provider has neither."""
    endpoint, override = metadata.end_session_endpoint, settings.kind.logout_override
    if override is not None and (override.replaces_discovered or endpoint is None):
        origin, _ = parse_url(metadata.authorization_endpoint)
        parameters = {"client_id": settings.client_id, override.parameter: return_to}
        return f"{origin}{override.path}?{urlencode(parameters)}"
    if endpoint is None:
        return None
    parameters = {
        "client_id": settings.client_id,
        "post_logout_redirect_uri": return_to,
        "state": state,
    } | ({"id_token_hint": id_token} if id_token else {})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"
