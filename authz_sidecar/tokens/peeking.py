"""What a token says of itself before anybody vouches for it: only ever used to choose who judges it.
Pure, and bounded by the token's length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.login.jws import peek
from authz_sidecar.tokens.settings import LARGEST_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping


def unverified_part(token: str, number: int) -> Mapping[str, object] | None:
    """The header (0) or the claims (1); None where `token` is no signed JWT."""
    return None if len(token) > LARGEST_TOKEN else peek(token, number)


def unverified_issuer(token: str) -> str | None:
    """`iss` of a JWT; empty where it says none, None where it is no JWT."""
    header, claims = unverified_part(token, 0), unverified_part(token, 1)
    if header is None or claims is None or "alg" not in header:
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else ""
