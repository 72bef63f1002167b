"""Logout token validation (OpenID Connect Back-Channel Logout 1.0, section 2.6).

Pure: keys, expected values and the time are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import (
    Jwk,
    check_times,
    decode_unverified,
    parse_header,
    verify_signature,
)

EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Section 2.4 recommends `logout+jwt`; older providers write `jwt`. A logout token differs from an
# ID token in any case: it has an event and no nonce.
KINDS = frozenset({"logout+jwt", "jwt"})
MAX_AGE_SECONDS = 600
"""Accepted for this long after `iat`, whatever `exp` says: its `jti` is remembered for that time."""

_REQUIRED = ("iss", "aud", "iat", "exp", "jti", "events")
_MAX_NAME_LENGTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutToken:
    """The claims of a verified logout token.

    `id`: its `jti`.
    `subject`: its `sub`.
    `session`: its `sid`; without it, all sessions of `subject` end.
    """

    issuer: str
    id: str
    subject: str | None
    session: str | None


def unverified_issuer(token: str) -> str | None:
    """Return the `iss` of an unverified token, used only to choose the provider whose keys verify
    it."""
    issuer = (decode_unverified(token, 1) or {}).get("iss")
    return issuer if isinstance(issuer, str) else None


def verify_logout_token(
    token: str, *, key: Jwk, issuer: str, client_id: str, algorithms: tuple[str, ...], now: float
) -> LogoutToken:
    """Return the claims of a logout token that passes every check. Raises `LoginRefused`."""
    algorithm = parse_header(token, algorithms=algorithms, kinds=KINDS).algorithm
    claims = verify_signature(
        token, key=key, algorithm=algorithm, issuer=issuer, audience=client_id, required=_REQUIRED
    )
    check_times(claims, now=now)
    issued_at = claims["iat"]
    if isinstance(issued_at, int | float) and issued_at + MAX_AGE_SECONDS <= now:
        raise LoginRefused("logout token was issued too long ago")
    if "nonce" in claims:
        raise LoginRefused("logout token with a nonce: an ID token in disguise")
    events = claims["events"]
    if not isinstance(events, Mapping) or not isinstance(events.get(EVENT), Mapping):
        raise LoginRefused("logout token without the event of a logout")
    subject, session = _name(claims, "sub"), _name(claims, "sid")
    if subject is None and session is None:
        raise LoginRefused("logout token with neither `sub` nor `sid`")
    identifier = _name(claims, "jti")
    if identifier is None:
        raise LoginRefused("logout token without a usable `jti`")
    return LogoutToken(issuer=issuer, id=identifier, subject=subject, session=session)


def _name(claims: Mapping[str, object], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME_LENGTH:
        raise LoginRefused(f"logout token with an unusable `{name}`")
    return value
