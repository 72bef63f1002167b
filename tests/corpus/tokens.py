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
from tests.corpus.vectors import UnsupportedVector
from tests.servers.providers import CLIENT_ID
from tests.support.signed_tokens import SigningKey, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Claims = dict[str, object]

VECTOR_CLIENT_ID = "fa-client"
"""What they call the client; ours has a name of its own."""

_HEADER_PARAMETERS = frozenset(
    {"alg", "kid", "jku", "x5u", "x5c", "jwk", "typ", "cty", "crit", "zip", "enc", "b64"}
)
_TIME_CLAIMS = frozenset({"exp", "iat", "nbf", "auth_time"})
_PART_SEPARATOR = re.compile(r"\s+(?=[a-z][a-z0-9_]*=)")
_ATTACKER_URL = re.compile(r"https?://[a-z0-9.-]*evil[^/]*")
_HMAC_ALGORITHM = re.compile(r"(?i)hs(256|384|512)([-_ ].*)?")
BOMB_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class TokenFactory:
    """Signs for the provider; `attacker_url` is where a token's own key addresses are made to
    lead."""

    issuer: str
    attacker_url: str
    rsa_key: SigningKey = field(default_factory=lambda: signing_key("RS256", "rsa"))
    ec_key: SigningKey = field(default_factory=lambda: signing_key("ES256", "ec"))
    attacker_key: SigningKey = field(default_factory=lambda: signing_key("RS256", "evil"))

    @property
    def jwks(self) -> dict[str, object]:
        return {"keys": [self.rsa_key.jwk, self.ec_key.jwk]}

    def good_claims(self, **changes: object) -> Claims:
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

    def logout_claims(self, *, subject: str, session: str) -> Claims:
        kept = {"iss", "aud", "iat", "exp"}
        return {name: value for name, value in self.good_claims().items() if name in kept} | {
            "sub": subject,
            "sid": session,
            "jti": secrets.token_hex(8),
            "events": {EVENT: {}},
        }

    def sign(self, claims: Mapping[str, object], **header: object) -> str:
        return _jws({"kid": self.rsa_key.key_id} | header, claims, sign=_rs256(self.rsa_key))

    def make_token(self, text: str, claims: Claims, **header: object) -> str:
        """The token that `text` describes, beginning with `claims`."""
        if text in {"", "ok"}:
            return self.sign(claims, **header)
        if "=" not in text:
            return self._malformed_token(text, claims)
        header_parameters: dict[str, object] = {"kid": self.rsa_key.key_id} | header
        if "aud=[" in text:
            claims.pop("azp", None)  # of several audiences, unless it is said who asked
        for word in _PART_SEPARATOR.split(text):
            name, equals, value = word.partition("=")
            if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise UnsupportedVector(f"unknown token `{text}`")
            target = header_parameters if name in _HEADER_PARAMETERS else claims
            _set_or_remove(
                target,
                name,
                _ATTACKER_URL.sub(self.attacker_url, value)
                if target is header_parameters
                else value,
            )
        return self._sign_with_header(header_parameters, claims)

    def _sign_with_header(self, header: dict[str, object], claims: Claims) -> str:
        algorithm = str(header.get("alg", "RS256"))
        if {"jku", "x5u", "x5c", "jwk"} & header.keys():
            return _jws(header, claims, sign=_rs256(self.attacker_key))
        if algorithm.lower() == "none" or not algorithm:
            return _jws(header, claims, sign=lambda _: b"")
        if found := _HMAC_ALGORITHM.fullmatch(algorithm):
            return self._sign_with_public_key(
                header | {"alg": f"HS{found[1]}"}, claims, f"sha{found[1]}"
            )
        return _jws(header, claims, sign=_rs256(self.rsa_key))

    def _sign_with_public_key(self, header: dict[str, object], claims: Claims, digest: str) -> str:
        public = self.rsa_key.private.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return _jws(header, claims, sign=lambda data: hmac.digest(pem, data, digest))

    def _malformed_token(self, name: str, claims: Claims) -> str:
        header: dict[str, object] = {"kid": self.rsa_key.key_id}
        tricks: dict[str, Callable[[], str]] = {
            "embedded-jwk": lambda: self._sign_with_header({"jwk": self.attacker_key.jwk}, claims),
            "es256-zero-sig": lambda: _jws(
                {"alg": "ES256", "kid": self.ec_key.key_id}, claims, sign=lambda _: bytes(64)
            ),
            "logout-token": lambda: self.sign(
                self.logout_claims(subject="alice", session="s"), typ="logout+jwt"
            ),
            "id-token": lambda: self.sign(claims),
            "jwe-zip-bomb": lambda: _encrypt(bytes(BOMB_BYTES)),
            "wrong-key": lambda: _jws(header, claims, sign=_rs256(self.attacker_key)),
            "unsigned": lambda: _jws(header, claims, sign=lambda _: b""),
            "expired": lambda: self.make_token("exp=-3600", claims),
        }
        trick = name.replace("_", "-")
        if found := _HMAC_ALGORITHM.fullmatch(trick):
            return self._sign_with_public_key(
                header | {"alg": f"HS{found[1]}"}, claims, f"sha{found[1]}"
            )
        if trick not in tricks:
            raise UnsupportedVector(f"unknown token `{name}`")
        return tricks[trick]()


def _set_or_remove(target: dict[str, object], name: str, value: str) -> None:
    if value == "absent":
        target.pop(name, None)
        return
    target[name] = _parse_value(name, value)


def _parse_value(name: str, text: str) -> object:
    if text == "random":
        return secrets.token_hex(8)
    if name in _TIME_CLAIMS and re.fullmatch(r"[+-]?[0-9]+", text):
        return int(time.time()) + int(text)
    if text.startswith("[") and text.endswith("]"):
        return [_own_client_id(part) for part in text[1:-1].split(",") if part]
    try:
        value: object = json.loads(text) if text[:1] in '{"tfn' else None
    except ValueError:
        value = None
    return _own_client_id(text) if value is None else value


def _own_client_id(text: str) -> str:
    return CLIENT_ID if text == VECTOR_CLIENT_ID else text


def _jws(
    header: dict[str, object], claims: Mapping[str, object], *, sign: Callable[[bytes], bytes]
) -> str:
    head = {"alg": "RS256", "typ": "JWT", **header}
    signed = f"{_base64url(json.dumps(head).encode())}.{_base64url(json.dumps(claims).encode())}"
    return f"{signed}.{_base64url(sign(signed.encode()))}"


def _rs256(key: SigningKey) -> Callable[[bytes], bytes]:
    return lambda data: RSAAlgorithm(RSAAlgorithm.SHA256).sign(data, key.private)


def _encrypt(data: bytes) -> str:
    """As if encrypted under a shared key; whoever inflates before the tag is checked has lost."""
    header = {"alg": "dir", "enc": "A256GCM", "zip": "DEF", "cty": "JWT"}
    body = zlib.compress(data, 9)[2:-4]
    tag = hashlib.sha256(body).digest()[:16]
    parts = (json.dumps(header).encode(), b"", secrets.token_bytes(12), body, tag)
    return ".".join(map(_base64url, parts))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
