"""Claims mapping: turns verified claims into an `Identity`, and drops claims that are not
trustworthy.

Pure. Must not know of tokens, endpoints or sessions; differences between providers arrive as data
in `ClaimNames`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.claims import (
    TRUE_TEXTS,
    candidate_claim_names,
    find_claim,
    is_email_address,
    text_values,
)
from authz_sidecar.core.types import Identity
from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.id_token import VerifiedClaims
from authz_sidecar.oidc.jws import numeric_date

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROTOCOL = frozenset(
    # Claims about the token itself, not about its user. `_claim_names` and `_claim_sources` point
    # to claims elsewhere (OpenID Connect Core, 5.6.2), which are neither fetched nor trusted.
    {"aud", "azp", "exp", "iat", "nbf", "nonce", "jti", "sid", "at_hash", "c_hash", "s_hash"}
    | {"_claim_names", "_claim_sources"}
)
_ONLY_FROM_ID_TOKEN = _PROTOCOL | {"iss", "sub", "acr", "amr", "auth_time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """The claims that hold the parts of an identity: names, or paths (`core/claims.py`) in which
    `{client_id}` stands for the client's id.

    `email`: in order of preference.
    `groups`: the groups of all of them are merged.
    """

    user: str = "sub"
    email: tuple[str, ...] = ("email",)
    groups: tuple[str, ...] = ("groups",)
    name: str = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """How the claims of one provider are mapped."""

    names: ClaimNames = ClaimNames()
    client_id: str = ""
    verified_claim: str = "email_verified"
    """The claim that says whether the first of the e-mail claims is verified."""
    require_verified_email: bool = False
    """Drop an address that the provider does not call verified. One that it calls *not* verified is
    always dropped, unless `allow_unverified_email`."""
    allow_unverified_email: bool = False


def merge_userinfo(
    claims: VerifiedClaims,
    userinfo: Mapping[str, object],
    *,
    verified_claim: str = "email_verified",
) -> VerifiedClaims:
    """Return the claims of ID token and userinfo together. Claims about the token and the
    authentication come from the ID token alone. Raises `LoginRefused` when the two have different
    `sub` (OpenID Connect Core, 5.3.2)."""
    if not isinstance(userinfo.get("sub"), str) or userinfo["sub"] != claims["sub"]:
        raise LoginRefused("userinfo is about another `sub` than the ID token")
    merged = dict(claims)
    if userinfo.get("email", claims.get("email")) != claims.get("email"):
        merged.pop(verified_claim, None)  # it belongs to the other address
    merged.update(
        (name, value) for name, value in userinfo.items() if name not in _ONLY_FROM_ID_TOKEN
    )
    return VerifiedClaims(merged)


def identity_from_claims(claims: VerifiedClaims, *, provider: str, rules: ClaimRules) -> Identity:
    """Return the identity in the claims. Raises `LoginRefused` when they name no user, or name the
    user by an unverified e-mail address."""
    names, client_id = rules.names, rules.client_id
    subject = find_claim(claims, names.user, client_id=client_id)
    if not isinstance(subject, str) or not subject or not subject.isprintable():
        raise LoginRefused(f"claim `{names.user}` does not name a user")
    name, acr = find_claim(claims, names.name, client_id=client_id), claims.get("acr")
    email = _email(claims, rules)
    if email is None and names.user == names.email[0]:
        # A user who can enter any address at the provider could take over its owner's identity.
        raise LoginRefused(
            f"`{names.user}` names the user, and the provider does not vouch for the address",
            public_message="The sign-in provider does not say that your e-mail address is verified.",
        )
    # An unverified address must not reappear as a claim that policies and headers read.
    unverified_paths = names.email if email is None else ()
    hidden = _PROTOCOL.union(
        *(candidate_claim_names(path, client_id=client_id) for path in unverified_paths)
    )
    groups = (text_values(find_claim(claims, path, client_id=client_id)) for path in names.groups)
    return Identity(
        provider=provider,
        issuer=str(claims["iss"]),
        subject=subject,
        email=email,
        name=name if isinstance(name, str) and name else None,
        groups=tuple(dict.fromkeys(group for values in groups for group in values)),
        claims={key: value for key, value in claims.items() if key not in hidden},
        authenticated_at=numeric_date(claims.get("auth_time")),
        acr=acr if isinstance(acr, str) else None,
        amr=text_values(claims.get("amr")),
    )


def _email(claims: VerifiedClaims, rules: ClaimRules) -> str | None:
    values = (find_claim(claims, path, client_id=rules.client_id) for path in rules.names.email)
    index, address = next(
        ((index, value) for index, value in enumerate(values) if value is not None), (0, None)
    )
    if not is_email_address(address):
        return None
    verified = str(claims.get(rules.verified_claim, "")).lower()  # some providers send a string
    if rules.allow_unverified_email or (verified in TRUE_TEXTS and index == 0):
        return address
    if (verified and verified not in TRUE_TEXTS) or rules.require_verified_email:
        return None
    return address
