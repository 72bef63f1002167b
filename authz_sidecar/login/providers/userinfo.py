"""Userinfo, plain or signed (OpenID Connect Core, 5.3.2), and the other sources of user data: the
base URL of the provider's API, and the name that Apple has the browser post."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.login.providers.microsoft_graph import GRAPH
from authz_sidecar.oidc.jws import (
    BadSignature,
    Jwk,
    TokenHeader,
    check_times,
    parse_header,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.login.providers.settings import ProviderSettings
    from authz_sidecar.oidc.http_client import HttpBody

SIGNED = "application/jwt"
_KINDS = frozenset({"jwt"})
_MAX_NAME_LENGTH = 200
_MAX_USER_LENGTH = 4096


def plain_userinfo(body: HttpBody) -> Mapping[str, object]:
    """Return the claims of an unsigned userinfo response. Raises `ProviderUnavailable` when it is
    not a JSON object."""
    claims = body.json()
    if not isinstance(claims, Mapping):
        raise ProviderUnavailable(f"`{body.url}`: not a JSON object")
    return claims


def signed_header(text: str, *, algorithms: Sequence[str]) -> TokenHeader:
    """Return the header of a signed userinfo response. Raises `LoginRefused`, also for an encrypted
    response."""
    return parse_header(text, algorithms=algorithms, kinds=_KINDS)


def signed_userinfo(
    text: str, *, key: Jwk, settings: ProviderSettings, now: float
) -> Mapping[str, object]:
    """Return the claims of a signed userinfo response. Raises `BadSignature`, and `LoginRefused`
    for every other reason."""
    try:
        claims = verify_signature(
            text,
            key=key,
            algorithm=signed_header(text, algorithms=settings.algorithms).algorithm,
            issuer=None,
            audience=None,
            required=("sub",),
        )
    except BadSignature:
        raise
    except LoginRefused as error:
        raise LoginRefused(f"signed userinfo refused: {error}") from error
    # Both are optional (SHOULD); one that is present must be ours, or the response is for another.
    issuer, audience = claims.get("iss"), claims.get("aud")
    if issuer is not None and not (isinstance(issuer, str) and settings.issues(issuer)):
        raise LoginRefused("signed userinfo is of another issuer")
    audiences = audience if isinstance(audience, list) else [audience]
    if audience is not None and settings.client_id not in audiences:
        raise LoginRefused("signed userinfo is for another client")
    if "exp" in claims:
        check_times({"iat": now, **claims}, now=now)
    return claims


def api_url(settings: ProviderSettings) -> str:
    """Return the base URL of the provider's API, without a trailing slash."""
    oauth2, issuer = settings.kind.oauth2, settings.issuer.removesuffix("/")
    if settings.api is not None:
        return settings.api.removesuffix("/")
    if oauth2 is None:
        return GRAPH
    return oauth2.hosted_api if issuer == oauth2.hosted else f"{issuer}{oauth2.api_path}"


def name_from_form_post(text: str | None) -> str | None:
    """Return the user's name from the data that Apple has the browser post at the first login
    (Apple, "Receive the authorization response"), or None. The data is not signed: the name is
    displayed, and policies do not read it."""
    if text is None or len(text) > _MAX_USER_LENGTH:
        return None
    try:
        user = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = user.get("name") if isinstance(user, Mapping) else None
    if not isinstance(name, Mapping):
        return None
    parts = (name.get(part) for part in ("firstName", "lastName"))
    full_name = " ".join(part.strip() for part in parts if isinstance(part, str)).strip()
    return full_name if full_name.isprintable() and 0 < len(full_name) <= _MAX_NAME_LENGTH else None
