"""From verified claims to an `Identity`: which claim says what, and what is not believed.

Pure. Must not know of tokens, providers' endpoints or sessions; quirks of a provider arrive as
data in `ClaimNames`.
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
    # What a token says about itself is not about its user. `_claim_names` and `_claim_sources`
    # point to claims elsewhere (OpenID Connect Core, 5.6.2), which we neither fetch nor believe.
    {"aud", "azp", "exp", "iat", "nbf", "nonce", "jti", "sid", "at_hash", "c_hash", "s_hash"}
    | {"_claim_names", "_claim_sources"}
)
_ONLY_FROM_ID_TOKEN = _PROTOCOL | {"iss", "sub", "acr", "amr", "auth_time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Claims, or paths into them (`core/claims.py`) where `{client_id}` stands for the client's.
    The first e-mail claim that is there counts, groups add up."""

    user: str = "sub"
    email: tuple[str, ...] = ("email",)
    groups: tuple[str, ...] = ("groups",)
    name: str = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    names: ClaimNames = ClaimNames()
    client_id: str = ""
    verified_claim: str = "email_verified"
    """The claim that vouches for the first of the e-mail claims, and for no other."""
    require_verified_email: bool = False
    """Refuse an address of which the provider does not say that it is verified. Where it says that
    it is *not*, the address is never believed unless `allow_unverified_email`."""
    allow_unverified_email: bool = False


def merge_userinfo(
    claims: VerifiedClaims,
    userinfo: Mapping[str, object],
    *,
    verified_claim: str = "email_verified",
) -> VerifiedClaims:
    """ID token and userinfo in one; raises `LoginRefused` when they are about two people."""
    # OpenID Connect Core, 5.3.2: "the UserInfo Response MUST NOT be used" if `sub` differs.
    if not isinstance(userinfo.get("sub"), str) or userinfo["sub"] != claims["sub"]:
        raise LoginRefused("userinfo is about another `sub` than the ID token")
    merged = dict(claims)
    if userinfo.get("email", claims.get("email")) != claims.get("email"):
        merged.pop(verified_claim, None)  # it was about the other address
    merged.update(
        (name, value) for name, value in userinfo.items() if name not in _ONLY_FROM_ID_TOKEN
    )
    return VerifiedClaims(merged)


def identity_from_claims(claims: VerifiedClaims, *, provider: str, rules: ClaimRules) -> Identity:
    """Raises `LoginRefused` when the claims name nobody, or by an address that is not believed."""
    names, client_id = rules.names, rules.client_id
    subject = find_claim(claims, names.user, client_id=client_id)
    if not isinstance(subject, str) or not subject or not subject.isprintable():
        raise LoginRefused(f"claim `{names.user}` does not name a user")
    name, acr = find_claim(claims, names.name, client_id=client_id), claims.get("acr")
    email = _email(claims, rules)
    if email is None and names.user == names.email[0]:
        # Whoever can enter any address there would be called like its owner, and be let in as them.
        raise LoginRefused(
            f"`{names.user}` names the user, and the provider does not vouch for the address",
            public_message="The sign-in provider does not say that your e-mail address is verified.",
        )
    # An address nobody vouches for must not come back as a claim that policies and headers read.
    doubtful = names.email if email is None else ()
    hidden = _PROTOCOL.union(
        *(candidate_claim_names(path, client_id=client_id) for path in doubtful)
    )
    groups = (text_values(find_claim(claims, path, client_id=client_id)) for path in names.groups)
    return Identity(
        provider=provider,
        issuer=str(claims["iss"]),
        subject=subject,
        email=email,
        name=name if isinstance(name, str) and name else None,
        groups=tuple(dict.fromkeys(group for each in groups for group in each)),
        claims={key: value for key, value in claims.items() if key not in hidden},
        authenticated_at=numeric_date(claims.get("auth_time")),
        acr=acr if isinstance(acr, str) else None,
        amr=text_values(claims.get("amr")),
    )


def _email(claims: VerifiedClaims, rules: ClaimRules) -> str | None:
    found = (find_claim(claims, path, client_id=rules.client_id) for path in rules.names.email)
    at, address = next(((at, it) for at, it in enumerate(found) if it is not None), (0, None))
    if not is_email_address(address):
        return None
    verified = str(claims.get(rules.verified_claim, "")).lower()  # some providers send a string
    if rules.allow_unverified_email or (verified in TRUE_TEXTS and at == 0):
        return address
    if (verified and verified not in TRUE_TEXTS) or rules.require_verified_email:
        return None
    return address
