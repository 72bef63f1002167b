"""What userinfo said, plain or signed (OpenID Connect Core, 5.3.2)."""

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


def plain_userinfo(body: HttpBody) -> Mapping[str, object]:
    """Raises `ProviderUnavailable` unless it is a JSON object."""
    said = body.json()
    if not isinstance(said, Mapping):
        raise ProviderUnavailable(f"`{body.url}`: not a JSON object")
    return said


def signed_header(text: str, *, algorithms: Sequence[str]) -> TokenHeader:
    """Raises `LoginRefused`; also for an encrypted answer, for which we have no key."""
    return parse_header(text, algorithms=algorithms, kinds=_KINDS)


def signed_userinfo(
    text: str, *, key: Jwk, settings: ProviderSettings, now: float
) -> Mapping[str, object]:
    """The claims of a signed answer; raises `LoginRefused`."""
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
    # Both SHOULD be there; what is there has to be right, or it was made for somebody else.
    issuer, audience = claims.get("iss"), claims.get("aud")
    if issuer is not None and not (isinstance(issuer, str) and settings.issues(issuer)):
        raise LoginRefused("signed userinfo is of another issuer")
    audiences = audience if isinstance(audience, list) else [audience]
    if audience is not None and settings.client_id not in audiences:
        raise LoginRefused("signed userinfo is for another client")
    if "exp" in claims:
        check_times({"iat": now, **claims}, now=now)
    return claims


_MAX_NAME_LENGTH = 200
_MAX_USER_LENGTH = 4096


def api_url(settings: ProviderSettings) -> str:
    """The base of the provider's API, without a slash at its end."""
    plain, issuer = settings.kind.oauth2, settings.issuer.removesuffix("/")
    if settings.api is not None:
        return settings.api.removesuffix("/")
    if plain is None:
        return GRAPH
    return plain.hosted_api if issuer == plain.hosted else f"{issuer}{plain.api_path}"


def name_from_form_post(text: str | None) -> str | None:
    """The name in what Apple has the browser post at the first sign-in ("Receive the authorization
    response"). Nobody vouches for it: it is shown, and no policy reads it."""
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
    whole = " ".join(part.strip() for part in parts if isinstance(part, str)).strip()
    return whole if whole.isprintable() and 0 < len(whole) <= _MAX_NAME_LENGTH else None
