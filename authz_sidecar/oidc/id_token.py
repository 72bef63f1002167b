"""ID token validation (OpenID Connect Core, 3.1.3.7): signature, issuer, audience, times and nonce.

Pure: keys, expected values and the time are arguments.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import (
    ALGORITHMS,
    LEEWAY_SECONDS,
    Jwk,
    check_times,
    digest_of,
    numeric_date,
    parse_header,
    verify_signature,
)

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, object])

# RFC 8725 section 3.11: a token made for another purpose says so in its header.
KINDS = frozenset({"jwt", "id_token+jwt"})
_REQUIRED = ("iss", "sub", "aud", "exp", "iat")

# Placeholders that a broken provider sends as `sub`: different users would share one account.
_PLACEHOLDER_SUBJECTS = frozenset({"null", "undefined", "none", "*"})
_TENANT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantIssuers:
    """The issuers of a multi-tenant provider, one for each tenant.

    `template`: the issuer with `{tenantid}` in place of the tenant id.
    `allowed`: the ids of the tenants whose users may sign in; all tenants when empty.
    """

    template: str
    allowed: frozenset[str] = frozenset()

    def issuer_of(self, tenant: str) -> str:
        """Return the issuer of a tenant."""
        return self.template.replace("{tenantid}", tenant)

    def accepts(self, issuer: str | None) -> bool:
        """Whether this is the issuer of an allowed tenant."""
        before, _, after = self.template.partition("{tenantid}")
        tenant = (issuer or "").removeprefix(before).removesuffix(after)
        return self.issuer_of(tenant) == issuer and self.admits(tenant)

    def admits(self, tenant: str) -> bool:
        """Whether this is the id of an allowed tenant."""
        is_allowed = not self.allowed or tenant in self.allowed
        return _TENANT_ID.fullmatch(tenant) is not None and is_allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedClaims:
    """What the claims of an ID token must match."""

    issuer: str
    client_id: str
    tenants: TenantIssuers | None = None
    """With them, a token must have the issuer of its tenant instead of `issuer`."""
    nonce: str | None
    """None for a refreshed token, which has no authorization request."""
    algorithms: tuple[str, ...] = ALGORITHMS


def verify_id_token(
    token: str, *, key: Jwk, expected: ExpectedClaims, now: float, access_token: str | None
) -> VerifiedClaims:
    """Return the claims of an ID token that passes every check. Raises `LoginRefused`.

    `access_token`: the token that `at_hash` is checked against, when there is one.
    """
    algorithm = parse_header(token, algorithms=expected.algorithms, kinds=KINDS).algorithm
    claims = verify_signature(
        token,
        key=key,
        algorithm=algorithm,
        issuer=expected.issuer if expected.tenants is None else None,
        audience=expected.client_id,
        required=_REQUIRED,
    )
    if expected.tenants is not None:
        _check_tenant(claims, expected.tenants, key=key)
    check_times(claims, now=now)
    check_audience(claims, client_id=expected.client_id)
    check_subject(claims)
    if expected.nonce is not None:
        _check_nonce(claims, expected.nonce)
    if "at_hash" in claims and access_token is not None:
        _check_access_token_hash(claims["at_hash"], access_token, algorithm)
    return VerifiedClaims(_without_future_auth_time(claims, now=now))


def _without_future_auth_time(claims: Mapping[str, object], *, now: float) -> Mapping[str, object]:
    """Remove an `auth_time` in the future. One in milliseconds is such a time, and would satisfy
    every maximum age forever."""
    signed_in = numeric_date(claims.get("auth_time"))
    if signed_in is not None and signed_in - LEEWAY_SECONDS <= now:
        return claims
    return {name: value for name, value in claims.items() if name != "auth_time"}


def _check_tenant(claims: Mapping[str, object], tenants: TenantIssuers, *, key: Jwk) -> None:
    # Microsoft, "Secure applications and APIs by validating claims": `iss` has to be the issuer of
    # the tenant in `tid`, and the tenant that the key signs for, where the key set names it.
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not tenants.admits(tenant):
        raise LoginRefused(
            f"token of tenant `{tenant!s:.60}`, whose users may not sign in",
            public_message="Accounts of your organisation may not sign in here.",
        )
    issuer = tenants.issuer_of(tenant)
    if claims["iss"] != issuer:
        raise LoginRefused("token names another tenant than the one that issued it")
    signs_for = key.get("issuer")
    if signs_for is not None and signs_for not in (issuer, tenants.template):
        raise LoginRefused("token is signed with the key of another tenant")


def check_audience(claims: Mapping[str, object], *, client_id: str) -> None:
    """Check `azp` against the client (OpenID Connect Core, 3.1.3.7, steps 4 and 5). Raises
    `LoginRefused`."""
    audience, party = claims["aud"], claims.get("azp")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise LoginRefused("ID token has several audiences and no `azp`")
    if party is not None and party != client_id:
        raise LoginRefused("ID token was issued to another client")


def check_subject(claims: Mapping[str, object]) -> None:
    """Check that `sub` identifies a user. Raises `LoginRefused`."""
    subject = claims["sub"]
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= 255
        or not subject.isprintable()
        or subject.strip() != subject
        or subject.lower() in _PLACEHOLDER_SUBJECTS
    ):
        raise LoginRefused("ID token has no usable `sub`")


def _check_nonce(claims: Mapping[str, object], expected: str) -> None:
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not _same(nonce, expected):
        raise LoginRefused("ID token does not carry the nonce of this transaction")


def _check_access_token_hash(claim: object, access_token: str, algorithm: str) -> None:
    digest = hashlib.new(digest_of(algorithm), access_token.encode()).digest()
    half = base64url_encode(digest[: len(digest) // 2])
    if not isinstance(claim, str) or not _same(claim, half):
        raise LoginRefused("ID token belongs to another access token")


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
