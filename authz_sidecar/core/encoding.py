"""Base64url: RFC 4648 section 5, without padding (RFC 7515 appendix C)."""

from __future__ import annotations

from binascii import b2a_base64

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def base64url_encode(data: bytes) -> str:
    """Returns `data` in base64url without padding."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=").decode("ascii")
