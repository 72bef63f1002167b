"""The checks of an access token's claims, and the identity they describe. Pure.

The same for signed claims and for those of an introspection response (RFC 7662). Also reads the
claims of unverified tokens, only to choose who verifies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.claims import (
    candidate_claim_names,
    find_claim,
    is_email_address,
    is_email_unverified,
    text_values,
)
from authz_sidecar.core.types import Identity, SessionKind
from authz_sidecar.oidc.jws import decode_unverified, numeric_date
from authz_sidecar.tokens.settings import MAX_TOKEN_BYTES, TokenRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from authz_sidecar.tokens.settings import IssuerSettings

Claims = Mapping[str, object]

# Claims about the token, not about its subject; policies can use all others.
_PROTOCOL_CLAIMS = frozenset({"aud", "exp", "iat", "nbf", "jti", "cnf", "active", "token_type"})
# OpenID Connect Core, section 2: an ID token is for the client, not for an API.
_ID_TOKEN_ONLY_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")
_MAX_SUBJECT_LENGTH = 1024
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A valid token. Times are Unix seconds.

    `thumbprint` is that of the key it is bound to (RFC 9449 section 6), None for a bearer token.
    """

    kind: SessionKind
    identity: Identity
    issued_at: float
    expires_at: float
    thumbprint: str | None


def verify_claims(
    claims: Claims, *, kind: SessionKind, settings: IssuerSettings, now: float
) -> VerifiedToken:
    """Return the verified token. Raises `TokenRefused`. The caller has compared the issuer."""
    issued_at, expires_at = check_times(claims, settings=settings, now=now)
    check_audience(claims, settings=settings)
    check_purpose(claims)
    check_required(claims, settings=settings)
    check_scopes(claims, settings=settings)
    return VerifiedToken(
        kind=kind,
        identity=identity_from_claims(claims, settings=settings),
        issued_at=issued_at,
        expires_at=expires_at,
        thumbprint=confirmation_thumbprint(claims),
    )


def check_times(claims: Claims, *, settings: IssuerSettings, now: float) -> tuple[float, float]:
    """Return when the token was issued and when it expires, in Unix seconds. Raises `TokenRefused`."""
    expires_at = _numeric_date(claims, "exp")
    issued_at = _numeric_date(claims, "iat") if "iat" in claims else now
    if expires_at + settings.leeway <= now:
        raise TokenRefused("token has expired")
    if issued_at - settings.leeway > now:
        raise TokenRefused("token was issued in the future; compare the clocks")
    if "nbf" in claims and _numeric_date(claims, "nbf") - settings.leeway > now:
        raise TokenRefused("token is not valid yet; compare the clocks")
    if expires_at - issued_at > settings.max_lifetime:
        raise TokenRefused(f"token for longer than `max_lifetime`, {settings.max_lifetime:g} s")
    return issued_at, expires_at


def check_audience(claims: Claims, *, settings: IssuerSettings) -> None:
    """Check `aud` (RFC 7519 section 4.1.3). Raises `TokenRefused` for another or additional
    audience."""
    audience = claims.get("aud")
    if audience is None:
        introspection = settings.introspection
        if introspection is not None and not introspection.require_audience:
            return
        raise TokenRefused("token without an audience")
    listed = audience if isinstance(audience, list) else [audience]
    audiences = [item for item in listed if isinstance(item, str)]
    if not audiences or len(audiences) != len(listed):
        raise TokenRefused("token with an audience that is no text")
    if not set(audiences) & set(settings.audiences):
        raise TokenRefused(f"token is for `{', '.join(audiences)[:200]}`")
    # Every other audience holds the token too, and could use it here.
    other_audiences = set(audiences) - set(settings.audiences) - set(settings.additional_audiences)
    if other_audiences:
        raise TokenRefused(f"token is for `{', '.join(sorted(other_audiences))[:200]}` as well")


def check_purpose(claims: Claims) -> None:
    """Raise `TokenRefused` for ID tokens and security event tokens."""
    for name in _ID_TOKEN_ONLY_CLAIMS:
        if name in claims:
            raise TokenRefused(f"token with `{name}`: an ID token, which is for no API")
    if "events" in claims:  # RFC 8417: a security event, such as a logout token
        raise TokenRefused("token with `events`: a security event token, not an access token")


def check_required(claims: Claims, *, settings: IssuerSettings) -> None:
    """Raise `TokenRefused` when a claim does not match the `require` setting."""
    for name, patterns in settings.require.items():
        values = text_values(find_claim(claims, name))
        if not any(matches_wildcard(pattern, value) for pattern in patterns for value in values):
            raise TokenRefused(f"claim `{name}` is not as `require` wants it")


def check_scopes(claims: Claims, *, settings: IssuerSettings) -> None:
    """Raise `TokenRefused` with `insufficient_scope` when a scope is missing."""
    missing = set(settings.scopes) - scopes_of(claims)
    if missing:
        raise TokenRefused(
            f"token without the scopes `{' '.join(sorted(missing))}`",
            code="insufficient_scope",
            public_message="The token lacks a required scope.",
        )


def scopes_of(claims: Claims) -> frozenset[str]:
    """Return the scopes: one text (RFC 8693 section 4.2), or a list or `scp` of some issuers."""
    scope = claims.get("scope", claims.get("scp"))
    if isinstance(scope, str):
        return frozenset(scope.split())
    return frozenset(text_values(scope)) if isinstance(scope, list) else frozenset()


def confirmation_thumbprint(claims: Claims) -> str | None:
    """Return the thumbprint in `cnf`, None without `cnf`. Raises `TokenRefused` for another
    confirmation."""
    confirmation = claims.get("cnf")
    if confirmation is None:
        return None
    if isinstance(confirmation, Mapping) and len(confirmation) == 1:
        thumbprint = confirmation.get("jkt")
        if isinstance(thumbprint, str) and thumbprint:
            return thumbprint
    raise TokenRefused("token is bound to something that cannot be proved here")


def identity_from_claims(claims: Claims, *, settings: IssuerSettings) -> Identity:
    """Return the identity of the token's subject. Raises `TokenRefused` without a usable subject."""
    names = settings.claims
    subject = find_claim(claims, names.user)
    if (
        not isinstance(subject, str)
        or not subject
        or not subject.isprintable()
        or subject.isspace()
        or len(subject) > _MAX_SUBJECT_LENGTH
    ):
        raise TokenRefused(f"claim `{names.user}` is not a usable user id")
    email = _verified_email(claims, names.email)
    # An unverified address must not reach policies and headers as a claim either.
    unverified = {"email"} if is_email_unverified(claims) else set[str]()
    if email is None and names.email is not None:
        unverified |= candidate_claim_names(names.email)
    return Identity(
        provider=settings.name,
        issuer=settings.issuer,
        subject=f"{settings.name}/{subject}",
        email=email,
        name=_text_claim(claims, names.name),
        groups=() if names.groups is None else text_values(find_claim(claims, names.groups)),
        claims=policy_claims(claims, excluded=unverified),
        is_service=True,
    )


def policy_claims(claims: Claims, *, excluded: Collection[str] = ()) -> dict[str, object]:
    """Return the claims for policies.

    Members of a claim whose own name has a dot (`kubernetes.io`) are added with a slash
    (`kubernetes.io/namespace`), because a dot would be ambiguous.
    """
    hidden = _PROTOCOL_CLAIMS.union(excluded)
    flattened: dict[str, object] = {}
    visible = {name: value for name, value in claims.items() if name not in hidden}
    for name, value in visible.items():
        if "." in name and isinstance(value, Mapping):
            flattened.update(_flatten(name, value, _MAX_DEPTH))
    return flattened | visible


def _flatten(name: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    if not isinstance(value, Mapping):
        yield name, value
    elif depth:
        for key, nested in value.items():
            yield from _flatten(f"{name}/{key}", nested, depth - 1)


def matches_wildcard(pattern: str, text: str) -> bool:
    """Whether the whole text matches, case-sensitive; `*` matches any text. Takes linear time."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    position = len(first)
    *middle, last = rest
    for part in middle:
        index = text.find(part, position)
        if index < 0:
            return False
        position = index + len(part)
    return len(text) - len(last) >= position and text.endswith(last)


def _verified_email(claims: Claims, path: str | None) -> str | None:
    """Return the address, as for people: unambiguous, and not marked as unverified by the issuer."""
    value = None if path is None or is_email_unverified(claims) else find_claim(claims, path)
    return value if is_email_address(value) else None


def _text_claim(claims: Claims, path: str | None) -> str | None:
    value = None if path is None else find_claim(claims, path)
    return value if isinstance(value, str) and value and value.isprintable() else None


def _numeric_date(claims: Claims, name: str) -> float:
    value = numeric_date(claims.get(name))
    if value is None:
        raise TokenRefused(f"token has no `{name}` that is a time")
    return value


def unverified_jwt_part(token: str, index: int) -> Mapping[str, object] | None:
    """Return the header (0) or the claims (1); None when `token` is not a signed JWT."""
    return None if len(token) > MAX_TOKEN_BYTES else decode_unverified(token, index)


def unverified_issuer(token: str) -> str | None:
    """Return `iss` of a JWT, empty when it has none; None when `token` is not a JWT."""
    header, claims = unverified_jwt_part(token, 0), unverified_jwt_part(token, 1)
    if header is None or claims is None or "alg" not in header:
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else ""
