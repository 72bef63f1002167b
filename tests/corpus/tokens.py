"""The tokens that vectors speak of: good ones, and one for each way of being bad.

    JWT:ok   JWT:alg=none   JWT:aud=[fa-client,other]   JWT:logout sub=absent sid=absent

Words `name=value` change the header or the claims; a word alone names a whole trick.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
import zlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from authz_sidecar.oidc.logout_token import EVENT
from tests.corpus.vectors import Uninterpretable
from tests.servers.providers import CLIENT_ID
from tests.support.signed_tokens import SigningKey, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Claims = dict[str, object]

CLIENT_OF_THE_VECTORS = "fa-client"
"""What they call the client; ours has a name of its own."""

_HEADER = frozenset(
    {"alg", "kid", "jku", "x5u", "x5c", "jwk", "typ", "cty", "crit", "zip", "enc", "b64"}
)
_TIMES = frozenset({"exp", "iat", "nbf", "auth_time"})
_WORD = re.compile(r"\s+(?=[a-z][a-z0-9_]*=)")
_ATTACKER = re.compile(r"https?://[a-z0-9.-]*evil[^/]*")
_SIGNED_BY_SECRET = re.compile(r"(?i)hs(256|384|512)([-_ ].*)?")
BOMB_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Mint:
    """Signs for the provider; `evil` is where a token's own key addresses are made to lead."""

    issuer: str
    evil: str
    rsa: SigningKey = field(default_factory=lambda: signing_key("RS256", "rsa"))
    ec: SigningKey = field(default_factory=lambda: signing_key("ES256", "ec"))
    attackers: SigningKey = field(default_factory=lambda: signing_key("RS256", "evil"))

    @property
    def published(self) -> dict[str, object]:
        return {"keys": [self.rsa.jwk, self.ec.jwk]}

    def good(self, **changes: object) -> Claims:
        """The claims of a good ID token; a change to `None` removes one."""
        now = int(time.time())
        claims: Claims = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "email": "alice@example.com",
            "email_verified": True,
            "groups": ["staff"],
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def logout(self, *, subject: str, session: str) -> Claims:
        kept = {"iss", "aud", "iat", "exp"}
        return {name: value for name, value in self.good().items() if name in kept} | {
            "sub": subject,
            "sid": session,
            "jti": secrets.token_hex(8),
            "events": {EVENT: {}},
        }

    def signed(self, claims: Mapping[str, object], **header: object) -> str:
        return _jws({"kid": self.rsa.key_id} | header, claims, sign=_rs256(self.rsa))

    def made(self, text: str, claims: Claims, **header: object) -> str:
        """The token that `text` describes, beginning with `claims`."""
        if text in {"", "ok"}:
            return self.signed(claims, **header)
        if "=" not in text:
            return self._trick(text, claims)
        given: dict[str, object] = {"kid": self.rsa.key_id} | header
        if "aud=[" in text:
            claims.pop("azp", None)  # of several audiences, unless it is said who asked
        for word in _WORD.split(text):
            name, equals, value = word.partition("=")
            if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise Uninterpretable(f"unknown token `{text}`")
            where = given if name in _HEADER else claims
            _change(where, name, _ATTACKER.sub(self.evil, value) if where is given else value)
        return self._with_header(given, claims)

    def _with_header(self, header: dict[str, object], claims: Claims) -> str:
        algorithm = str(header.get("alg", "RS256"))
        if {"jku", "x5u", "x5c", "jwk"} & header.keys():
            return _jws(header, claims, sign=_rs256(self.attackers))
        if algorithm.lower() == "none" or not algorithm:
            return _jws(header, claims, sign=lambda _: b"")
        if found := _SIGNED_BY_SECRET.fullmatch(algorithm):
            return self._by_public_key(header | {"alg": f"HS{found[1]}"}, claims, f"sha{found[1]}")
        return _jws(header, claims, sign=_rs256(self.rsa))

    def _by_public_key(self, header: dict[str, object], claims: Claims, digest: str) -> str:
        public = self.rsa.private.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return _jws(header, claims, sign=lambda data: hmac.digest(pem, data, digest))

    def _trick(self, name: str, claims: Claims) -> str:
        header: dict[str, object] = {"kid": self.rsa.key_id}
        tricks: dict[str, Callable[[], str]] = {
            "embedded-jwk": lambda: self._with_header({"jwk": self.attackers.jwk}, claims),
            "es256-zero-sig": lambda: _jws(
                {"alg": "ES256", "kid": self.ec.key_id}, claims, sign=lambda _: bytes(64)
            ),
            "logout-token": lambda: self.signed(
                self.logout(subject="alice", session="s"), typ="logout+jwt"
            ),
            "id-token": lambda: self.signed(claims),
            "jwe-zip-bomb": lambda: _encrypted(bytes(BOMB_BYTES)),
            "wrong-key": lambda: _jws(header, claims, sign=_rs256(self.attackers)),
            "unsigned": lambda: _jws(header, claims, sign=lambda _: b""),
            "expired": lambda: self.made("exp=-3600", claims),
        }
        trick = name.replace("_", "-")
        if found := _SIGNED_BY_SECRET.fullmatch(trick):
            return self._by_public_key(header | {"alg": f"HS{found[1]}"}, claims, f"sha{found[1]}")
        if trick not in tricks:
            raise Uninterpretable(f"unknown token `{name}`")
        return tricks[trick]()


def _change(where: dict[str, object], name: str, value: str) -> None:
    if value == "absent":
        where.pop(name, None)
        return
    where[name] = _value(name, value)


def _value(name: str, text: str) -> object:
    if text == "random":
        return secrets.token_hex(8)
    if name in _TIMES and re.fullmatch(r"[+-]?[0-9]+", text):
        return int(time.time()) + int(text)
    if text.startswith("[") and text.endswith("]"):
        return [_ours(part) for part in text[1:-1].split(",") if part]
    try:
        value: object = json.loads(text) if text[:1] in '{"tfn' else None
    except ValueError:
        value = None
    return _ours(text) if value is None else value


def _ours(text: str) -> str:
    return CLIENT_ID if text == CLIENT_OF_THE_VECTORS else text


def _jws(
    header: dict[str, object], claims: Mapping[str, object], *, sign: Callable[[bytes], bytes]
) -> str:
    head = {"alg": "RS256", "typ": "JWT", **header}
    signed = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(claims).encode())}"
    return f"{signed}.{_text(sign(signed.encode()))}"


def _rs256(key: SigningKey) -> Callable[[bytes], bytes]:
    return lambda data: RSAAlgorithm(RSAAlgorithm.SHA256).sign(data, key.private)


def _encrypted(data: bytes) -> str:
    """As if encrypted under a shared key; whoever inflates before the tag is checked has lost."""
    header = {"alg": "dir", "enc": "A256GCM", "zip": "DEF", "cty": "JWT"}
    body = zlib.compress(data, 9)[2:-4]
    tag = hashlib.sha256(body).digest()[:16]
    parts = (json.dumps(header).encode(), b"", secrets.token_bytes(12), body, tag)
    return ".".join(map(_text, parts))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
