"""Binary encoding of session records: versioned JSON lists, compressed with preset dictionaries.

Decoding is strict and never raises: bytes that this module did not write decode to None. Knows
nothing of keys, seals or stores. A record does not contain its own public ID, which is part of the
key that it is stored under.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from sys import intern
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.sessions.records import (
    ProviderTokens,
    RefreshVault,
    SessionListing,
    SessionRecord,
    SessionSummary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_JSON = json.JSONDecoder()
_VERSION = b"\x01"
_MAX_BYTES = 1 << 20

# Both are part of version 1 and must never be edited. The first makes typical claims about a third
# shorter; the second contains what the user agents of browsers have in common.
CLAIMS_DICTIONARY = (
    b'"zoneinfo":"locale":"website":"phone_number":"phone_number_verified":"preferred_username":'
    b'"nickname":"picture":"https://"middle_name":"updated_at":"department":"roles":["at_hash":'
    b'"realm_access":{"roles":["resource_access":{"account":{"tid":"oid":"upn":"hd":"azp":"sid":'
    b'"urn:mace:incommon:iap:"phr","pwd","mfa","otp","hwk"]"acr":"amr":["aud":"auth_time":"exp":'
    b'"iat":"nbf":"jti":"iss":"https://accounts.google.com"https://login.microsoftonline.com/"sub":'
    b'"email_verified":true,"email":"@example.com","given_name":"family_name":"name":"groups":["'
    b'["sign-in","https://child",".com","]],{}null,null,true,false,[],["'
)
USER_AGENTS_DICTIONARY = (
    b'"https://accounts.google.com"https://login.microsoftonline.com/HeadlessChrome/curl/'
    b"Mobile/15E148 Mozilla/5.0 (compatible; Edg/OPR/Version/17.0 Safari/605.1.15"
    b"(iPhone; CPU iPhone OS 17_0 like Mac OS X)(Macintosh; Intel Mac OS X 10_15_7) "
    b"AppleWebKit/605.1.15 (KHTML, like Gecko) (Linux; Android 10; K)"
    b"(Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0(X11; Linux x86_64) "
    b'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"]'
    b'["child",".com",null,[],["sign-in","https://'
)


def pack(fields: list[object], *, dictionary: bytes = CLAIMS_DICTIONARY) -> bytes:
    """The fields as versioned bytes: JSON in raw deflate (RFC 1951) with a preset dictionary.
    Raises `ValueError` when they exceed `_MAX_BYTES`."""
    text = json.dumps(fields, separators=(",", ":")).encode("ascii")
    if len(text) > _MAX_BYTES:
        raise ValueError(f"a record of {len(text)} bytes is too large to be stored")
    deflate = zlib.compressobj(level=9, wbits=-15, zdict=dictionary)
    return _VERSION + deflate.compress(text) + deflate.flush()


def unpack(
    data: bytes,
    length: int,
    build: Callable[[list[object]], T],
    *,
    optional: int = 0,
    dictionary: bytes = CLAIMS_DICTIONARY,
) -> T | None:
    """What `build` returns for the fields; None for bytes that `pack` did not write, for a number
    of fields outside `length` to `length + optional`, and when `build` raises `ValueError`."""
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


def encode_record(record: SessionRecord) -> bytes:
    """The bytes of a session record."""
    session, identity = record.session, record.session.identity
    return pack(
        [
            session.kind.value,
            session.scope,
            session.created_at,
            session.expires_at,
            session.provider_session,
            session.parent_id,
            _encode_watermarks(record.known_watermarks),
            session.refresh_at,
            record.vault_key,
            *_identity_fields(identity),
            *_route_fields(session.routes),
        ]
    )


def decode_record(data: bytes, *, public_id: str) -> SessionRecord | None:
    """The session record in bytes that `encode_record` wrote; None for any others."""
    return unpack(data, 19, lambda fields: _build_record(fields, public_id), optional=1)


def encode_listing(listing: SessionListing) -> bytes:
    """The bytes of a session listing."""
    summary = listing.summary
    return pack(
        [
            summary.kind.value,
            summary.scope,
            summary.created_at,
            summary.expires_at,
            summary.provider_session,
            summary.parent,
            _encode_watermarks(listing.known_watermarks),
            summary.provider,
            summary.issuer,
            summary.subject,
            summary.client,
            summary.user_agent,
            *_route_fields(summary.routes),
        ],
        dictionary=USER_AGENTS_DICTIONARY,
    )


def decode_listing(data: bytes, *, public_id: str) -> SessionListing | None:
    """The session listing in bytes that `encode_listing` wrote; None for any others."""
    return unpack(
        data,
        12,
        lambda fields: _build_listing(fields, public_id),
        optional=1,
        dictionary=USER_AGENTS_DICTIONARY,
    )


def encode_tokens(tokens: ProviderTokens) -> bytes:
    """The bytes of the provider's tokens."""
    return pack(_token_fields(tokens))


def encode_vault(vault: RefreshVault) -> bytes:
    """The bytes of a refresh vault."""
    return pack([vault.refresh_at, *_token_fields(vault.tokens), *_identity_fields(vault.identity)])


def decode_vault(data: bytes) -> RefreshVault | None:
    """The refresh vault in bytes that `encode_vault` wrote; None for any others."""
    return unpack(data, 15, _build_vault)


def decode_tokens(data: bytes) -> ProviderTokens | None:
    """The tokens in bytes that `encode_tokens` wrote; None for any others."""
    return unpack(data, 4, _build_tokens)


def _token_fields(tokens: ProviderTokens) -> list[object]:
    return [tokens.id_token, tokens.access_token, tokens.refresh_token, tokens.expires_at]


def _identity_fields(identity: Identity) -> list[object]:
    return [
        identity.provider,
        identity.issuer,
        identity.subject,
        identity.email,
        identity.name,
        identity.groups,
        dict(identity.claims),
        identity.authenticated_at,
        identity.acr,
        identity.amr,
    ]


def _route_fields(routes: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The optional last field, written only for sessions that are restricted to routes."""
    return (routes,) if routes else ()


def _build_vault(fields: list[object]) -> RefreshVault:
    refresh_at, *rest = fields
    return RefreshVault(
        tokens=_build_tokens(rest[:4]),
        identity=_build_identity(rest[4:]),
        refresh_at=_require_time(refresh_at),
    )


def _build_record(fields: list[object], public_id: str) -> SessionRecord:
    fields, routes = fields[:19], fields[19:]
    (
        kind,
        scope,
        created_at,
        expires_at,
        provider_session,
        parent,
        watermarks,
        refresh_at,
        vault,
        *identity_fields,
    ) = fields
    return SessionRecord(
        session=Session(
            public_id=public_id,
            kind=SessionKind(_require_text(kind)),
            scope=intern(_require_text(scope)),
            created_at=_require_time(created_at),
            expires_at=_require_time(expires_at),
            provider_session=_optional_text(provider_session),
            parent_id=_optional_text(parent),
            refresh_at=_optional(_require_time, refresh_at),
            identity=_build_identity(
                identity_fields, is_service=kind == SessionKind.SERVICE_ACCOUNT
            ),
            routes=_require_texts(routes[0]) if routes else (),
        ),
        vault_key=_require_text(vault),
        known_watermarks=_decode_watermarks(watermarks),
    )


def _build_identity(fields: list[object], *, is_service: bool = False) -> Identity:
    provider, issuer, subject, email, name, groups, claims, authenticated_at, acr, amr = fields
    if not isinstance(claims, dict):
        raise _MalformedRecordError
    group_names = tuple(map(intern, _require_texts(groups)))
    return Identity(
        provider=intern(_require_text(provider)),
        issuer=intern(_require_text(issuer)),
        subject=_require_text(subject),
        email=_optional_text(email),
        name=_optional_text(name),
        groups=group_names,
        claims=_intern_claims(
            claims, sub=subject, email=email, name=name, groups=list(group_names)
        ),
        authenticated_at=_optional(_require_time, authenticated_at),
        acr=_optional_text(acr),
        amr=_require_texts(amr),
        is_service=is_service,
    )


def _build_listing(fields: list[object], public_id: str) -> SessionListing:
    fields, routes = fields[:12], fields[12:]
    kind, scope, created_at, expires_at, provider_session, parent, watermarks, *owner_fields = (
        fields
    )
    provider, issuer, subject, client, user_agent = owner_fields
    return SessionListing(
        summary=SessionSummary(
            handle=public_id,
            kind=SessionKind(_require_text(kind)),
            scope=intern(_require_text(scope)),
            provider=intern(_require_text(provider)),
            issuer=intern(_require_text(issuer)),
            subject=_require_text(subject),
            created_at=_require_time(created_at),
            expires_at=_require_time(expires_at),
            last_used_at=_require_time(created_at),
            client=_require_text(client),
            user_agent=_require_text(user_agent),
            provider_session=_optional_text(provider_session),
            parent=_optional_text(parent),
            routes=_require_texts(routes[0]) if routes else (),
        ),
        known_watermarks=_decode_watermarks(watermarks),
    )


def _build_tokens(fields: list[object]) -> ProviderTokens:
    id_token, access_token, refresh_token, expires = fields
    return ProviderTokens(
        id_token=_optional_text(id_token),
        access_token=_optional_text(access_token),
        refresh_token=_optional_text(refresh_token),
        expires_at=_optional(_require_time, expires),
    )


def _intern_claims(claims: dict[str, object], **identity_fields: object) -> dict[str, object]:
    """The same claims with shared strings: names are interned, and values that repeat a field of
    the identity refer to it, because a near cache holds very many of them."""
    shared = {intern(name): value for name, value in claims.items()}
    for name, value in identity_fields.items():
        if shared.get(name) == value is not None:
            shared[name] = value
    return shared


class _MalformedRecordError(ValueError):
    """A field has another type than the one that was written. Never leaves this module."""


def _encode_watermarks(watermarks: Iterable[bytes]) -> list[str]:
    return sorted(base64.b64encode(watermark).decode("ascii") for watermark in watermarks)


def _decode_watermarks(value: object) -> frozenset[bytes]:
    if value == []:  # the common case
        return frozenset()
    try:
        return frozenset(
            base64.b64decode(watermark, validate=True) for watermark in _require_texts(value)
        )
    except binascii.Error:
        raise _MalformedRecordError from None


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise _MalformedRecordError
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _require_text(value)


def _require_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _MalformedRecordError
    return tuple(map(_require_text, value))


def _require_time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _MalformedRecordError
    return float(value)


def _optional(decode: Callable[[object], T], value: object) -> T | None:
    return None if value is None else decode(value)
