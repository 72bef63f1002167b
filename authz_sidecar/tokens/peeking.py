"""What a token says of itself before anybody vouches for it: only ever used to choose who judges it.
Pure, and bounded by the token's length."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping

from authz_sidecar.tokens.settings import LARGEST_TOKEN


def unverified_part(token: str, number: int) -> Mapping[str, object] | None:
    """The header (0) or the claims (1); None where `token` is no signed JWT."""
    if len(token) > LARGEST_TOKEN or token.count(".") != 2:
        return None
    part = token.split(".")[number]
    try:
        document = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, Mapping) else None


def unverified_issuer(token: str) -> str | None:
    """`iss` of a JWT; empty where it says none, None where it is no JWT."""
    header, claims = unverified_part(token, 0), unverified_part(token, 1)
    if header is None or claims is None or "alg" not in header:
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else ""
