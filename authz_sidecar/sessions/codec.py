"""Records to bytes and back: versioned, compact and strict. Whatever is not exactly what was
written here is no record; reading never raises. Knows nothing of keys, seals or stores.

A record does not hold its own handle: that is the name it was found under.
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
    Listing,
    ProviderTokens,
    Record,
    SessionSummary,
    Vault,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


def encode_record(record: Record) -> bytes:
    session, who = record.session, record.session.identity
    return pack(
        [
            session.kind.value,
            session.scope,
            session.created_at,
            session.expires_at,
            session.provider_session,
            session.parent,
            _marks(record.seen),
            session.refresh_at,
            record.vault,
            *_identity_fields(who),
            *_confinement(session.routes),
        ]
    )


def decode_record(data: bytes, *, handle: str) -> Record | None:
    return unpack(data, 19, lambda fields: _record(fields, handle), optional=1)


def encode_listing(listing: Listing) -> bytes:
    summary = listing.summary
    return pack(
        [
            summary.kind.value,
            summary.scope,
            summary.created_at,
            summary.expires_at,
            summary.provider_session,
            summary.parent,
            _marks(listing.seen),
            summary.provider,
            summary.issuer,
            summary.subject,
            summary.client,
            summary.user_agent,
            *_confinement(summary.routes),
        ],
        dictionary=AGENTS,
    )


def decode_listing(data: bytes, *, handle: str) -> Listing | None:
    return unpack(data, 12, lambda fields: _listing(fields, handle), optional=1, dictionary=AGENTS)


def encode_tokens(tokens: ProviderTokens) -> bytes:
    return pack(_token_fields(tokens))


def encode_vault(vault: Vault) -> bytes:
    return pack([vault.refresh_at, *_token_fields(vault.tokens), *_identity_fields(vault.identity)])


def decode_vault(data: bytes) -> Vault | None:
    return unpack(data, 15, _vault)


def decode_tokens(data: bytes) -> ProviderTokens | None:
    return unpack(data, 4, _tokens)


def _token_fields(tokens: ProviderTokens) -> list[object]:
    return [tokens.id_token, tokens.access_token, tokens.refresh_token, tokens.expires_at]


def _identity_fields(who: Identity) -> list[object]:
    return [
        who.provider,
        who.issuer,
        who.subject,
        who.email,
        who.name,
        who.groups,
        dict(who.claims),
        who.authenticated_at,
        who.acr,
        who.amr,
    ]


def _confinement(routes: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """A last field for the few that have it; all others are written as ever."""
    return (routes,) if routes else ()


def _vault(fields: list[object]) -> Vault:
    refresh_at, *rest = fields
    return Vault(
        tokens=_tokens(rest[:4]), identity=_identity(rest[4:]), refresh_at=_time(refresh_at)
    )


def _record(fields: list[object], handle: str) -> Record:
    fields, routes = fields[:19], fields[19:]
    kind, scope, created, expires, provider_session, parent, seen, refresh_at, vault, *who = fields
    return Record(
        session=Session(
            handle=handle,
            kind=SessionKind(_text(kind)),
            scope=intern(_text(scope)),
            created_at=_time(created),
            expires_at=_time(expires),
            provider_session=_text_or_none(provider_session),
            parent=_text_or_none(parent),
            refresh_at=_maybe(_time, refresh_at),
            identity=_identity(who, machine=kind == SessionKind.SERVICE_ACCOUNT),
            routes=_texts(routes[0]) if routes else (),
        ),
        vault=_text(vault),
        seen=_read_marks(seen),
    )


def _identity(fields: list[object], *, machine: bool = False) -> Identity:
    provider, issuer, subject, email, name, groups, claims, authenticated, acr, amr = fields
    if not isinstance(claims, dict):
        raise _NotOursError
    teams = tuple(map(intern, _texts(groups)))
    return Identity(
        provider=intern(_text(provider)),
        issuer=intern(_text(issuer)),
        subject=_text(subject),
        email=_text_or_none(email),
        name=_text_or_none(name),
        groups=teams,
        claims=_shared(claims, sub=subject, email=email, name=name, groups=list(teams)),
        authenticated_at=_maybe(_time, authenticated),
        acr=_text_or_none(acr),
        amr=_texts(amr),
        machine=machine,
    )


def _listing(fields: list[object], handle: str) -> Listing:
    fields, routes = fields[:12], fields[12:]
    kind, scope, created, expires, provider_session, parent, seen, *who = fields
    provider, issuer, subject, client, user_agent = who
    return Listing(
        summary=SessionSummary(
            handle=handle,
            kind=SessionKind(_text(kind)),
            scope=intern(_text(scope)),
            provider=intern(_text(provider)),
            issuer=intern(_text(issuer)),
            subject=_text(subject),
            created_at=_time(created),
            expires_at=_time(expires),
            last_used_at=_time(created),
            client=_text(client),
            user_agent=_text(user_agent),
            provider_session=_text_or_none(provider_session),
            parent=_text_or_none(parent),
            routes=_texts(routes[0]) if routes else (),
        ),
        seen=_read_marks(seen),
    )


def _tokens(fields: list[object]) -> ProviderTokens:
    id_token, access_token, refresh_token, expires = fields
    return ProviderTokens(
        id_token=_text_or_none(id_token),
        access_token=_text_or_none(access_token),
        refresh_token=_text_or_none(refresh_token),
        expires_at=_maybe(_time, expires),
    )


def _shared(claims: dict[str, object], **said: object) -> dict[str, object]:
    """The same claims. What many records have in common, and what one says twice under the usual
    name, is in memory once: a near cache holds very many of them."""
    shared = {intern(name): value for name, value in claims.items()}
    for name, value in said.items():
        if shared.get(name) == value is not None:
            shared[name] = value
    return shared


class _NotOursError(ValueError):
    """Stays in this module: a field has another type than what was written."""


def _marks(seen: Iterable[bytes]) -> list[str]:
    return sorted(base64.b64encode(mark).decode("ascii") for mark in seen)


def _read_marks(value: object) -> frozenset[bytes]:
    if value == []:  # as it is with most
        return frozenset()
    try:
        return frozenset(base64.b64decode(mark, validate=True) for mark in _texts(value))
    except binascii.Error:
        raise _NotOursError from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _NotOursError
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _NotOursError
    return tuple(map(_text, value))


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _NotOursError
    return float(value)


def _maybe(read: Callable[[object], T], value: object) -> T | None:
    return None if value is None else read(value)
