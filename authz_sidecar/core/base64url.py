"""Base64 for addresses, headers and tokens: RFC 4648 section 5, without padding (RFC 7515 appendix C)."""

from __future__ import annotations

from base64 import urlsafe_b64encode


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
