"""Lists of plain values to bytes and back: JSON, deflated with what such lists usually say."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_JSON = json.JSONDecoder()
_VERSION = b"\x01"
_MAX_BYTES = 1 << 20

# Both are part of version 1, never to be edited: typical claims are about a third shorter by the
# first, and most of what browsers call themselves is the same in all of them.
CLAIMS = (
    b'"zoneinfo":"locale":"website":"phone_number":"phone_number_verified":"preferred_username":'
    b'"nickname":"picture":"https://"middle_name":"updated_at":"department":"roles":["at_hash":'
    b'"realm_access":{"roles":["resource_access":{"account":{"tid":"oid":"upn":"hd":"azp":"sid":'
    b'"urn:mace:incommon:iap:"phr","pwd","mfa","otp","hwk"]"acr":"amr":["aud":"auth_time":"exp":'
    b'"iat":"nbf":"jti":"iss":"https://accounts.google.com"https://login.microsoftonline.com/"sub":'
    b'"email_verified":true,"email":"@example.com","given_name":"family_name":"name":"groups":["'
    b'["sign-in","https://child",".com","]],{}null,null,true,false,[],["'
)
AGENTS = (
    b'"https://accounts.google.com"https://login.microsoftonline.com/HeadlessChrome/curl/'
    b"Mobile/15E148 Mozilla/5.0 (compatible; Edg/OPR/Version/17.0 Safari/605.1.15"
    b"(iPhone; CPU iPhone OS 17_0 like Mac OS X)(Macintosh; Intel Mac OS X 10_15_7) "
    b"AppleWebKit/605.1.15 (KHTML, like Gecko) (Linux; Android 10; K)"
    b"(Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0(X11; Linux x86_64) "
    b'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"]'
    b'["child",".com",null,[],["sign-in","https://'
)


def pack(fields: list[object], *, dictionary: bytes = CLAIMS) -> bytes:
    """Raises `ValueError` when it would be too large."""
    text = json.dumps(fields, separators=(",", ":")).encode("ascii")
    if len(text) > _MAX_BYTES:
        raise ValueError(f"a record of {len(text)} bytes is too large to be kept")
    deflate = zlib.compressobj(level=9, wbits=-15, zdict=dictionary)
    return _VERSION + deflate.compress(text) + deflate.flush()


def unpack(
    data: bytes,
    length: int,
    build: Callable[[list[object]], T],
    *,
    optional: int = 0,
    dictionary: bytes = CLAIMS,
) -> T | None:
    """What `build` makes of the fields; None for anything that `pack` did not write, and where it
    raises `ValueError`."""
    if data[:1] != _VERSION:
        return None
    inflate = zlib.decompressobj(wbits=-15, zdict=dictionary)
    try:
        text = inflate.decompress(data[1:], _MAX_BYTES)
        if not inflate.eof or inflate.unused_data:
            return None
        fields = _JSON.decode(text.decode("ascii"))
        if not isinstance(fields, list) or not length <= len(fields) <= length + optional:
            return None
        return build(fields)
    except (zlib.error, ValueError, OverflowError, RecursionError):
        return None
