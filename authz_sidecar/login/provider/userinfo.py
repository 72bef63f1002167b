"""What userinfo said, plain or signed (OpenID Connect Core, 5.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.login.jws import (
    BadSignature,
    Jwk,
    TokenHeader,
    check_times,
    read_header,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.login.provider.settings import ProviderSettings
    from authz_sidecar.login.provider.transport import Body

SIGNED = "application/jwt"
_KINDS = frozenset({"jwt"})


def plain_userinfo(body: Body) -> Mapping[str, object]:
    """Raises `ProviderUnavailable` unless it is a JSON object."""
    said = body.json()
    if not isinstance(said, Mapping):
        raise ProviderUnavailable(f"`{body.url}`: not a JSON object")
    return said


def signed_header(text: str, *, algorithms: Sequence[str]) -> TokenHeader:
    """Raises `LoginRefused`; also for an encrypted answer, for which we have no key."""
    return read_header(text, algorithms=algorithms, kinds=_KINDS)


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
