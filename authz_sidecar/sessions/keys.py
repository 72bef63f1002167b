"""What everything is called in the store: a prefix that says what it is, and a keyed hash.

Whoever reads the store learns neither a cookie nor who is signed in. A name is made under each
secret, the newest first: with any of them it may have been written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.sealing import KeyedHash

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity
    from authz_sidecar.sealing import SecretKeys

_HASH_BYTES = 16


def session_key(public_id: str) -> str:
    """The identity of a session."""
    return f"az:s:{{{public_id}}}"


def listing_key(public_id: str) -> str:
    """What lists show of it."""
    return f"az:m:{{{public_id}}}"


def tokens_key(public_id: str) -> str:
    """The provider's tokens."""
    return f"az:t:{{{public_id}}}"


def vault_key(public_id: str) -> str:
    """What a sign-in and its children share for refreshes."""
    return f"az:v:{{{public_id}}}"


def refresh_lock_key(public_id: str) -> str:
    """Who refreshes it at the moment, or tried a moment ago."""
    return f"az:k:{{{public_id}}}"


def last_use_key(public_id: str) -> str:
    """When it was last used; there is none for a child, whose parent's counts."""
    return f"az:l:{{{public_id}}}"


def ended_key(public_id: str) -> str:
    """The watermark of one session: it was ended, whatever else the store still holds of it."""
    return f"az:r:{{{public_id}}}"


def name_from_key(key: str) -> str:
    """What is named by a key of the forms above, or by that of an index or a watermark."""
    return key[6:-1]


VALIDITY_PREFIXES = ("az:s:", "az:r:")
"""How the keys begin that decide whether a session stands. Last use is none of them: it is written
all the time, and nobody's copy of a session becomes wrong by it."""


@dataclass(frozen=True, slots=True)
class IndexOwner:
    """A user, or a session at a provider, in the store: one name for each secret. `prefix` is how
    the keys of its indexes begin."""

    prefix: str
    names: tuple[str, ...]

    @property
    def index_keys(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}{{{name}}}" for name in self.names)

    @property
    def watermark_keys(self) -> tuple[str, ...]:
        return tuple(map(ended_key, self.names))


class KeyNames:
    """Names by HMAC under keys derived from the secrets."""

    __slots__ = ("_keys",)

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._keys = tuple(map(KeyedHash, secret_keys.derive("names in the store")))

    def public_ids(self, token: str) -> tuple[str, ...]:
        """What a session of this cookie may be called; a new one is called by the first."""
        return self._hashes("session", token)

    def ticket_keys(self, ticket: str) -> tuple[str, ...]:
        return tuple(f"az:x:{name}" for name in self._hashes("ticket", ticket))

    def used_keys(self, key: str) -> tuple[str, ...]:
        return tuple(f"az:o:{name}" for name in self._hashes("once", key))

    def counter_key(self, key: str) -> str:
        return f"az:c:{self._hashes('counter', key)[0]}"

    def user(self, provider: str, issuer: str, subject: str) -> IndexOwner:
        return IndexOwner("az:u:", self._hashes("user", provider, issuer, subject))

    def user_by_sub(self, provider: str, issuer: str, sub: str) -> IndexOwner:
        """A user as the provider calls them, where `claims.user` names another claim than `sub`."""
        return IndexOwner("az:p:", self._hashes("account", provider, issuer, sub))

    def revocations_key(self, provider: str) -> str:
        """Where it says for some minutes which watermarks were set lately."""
        return f"az:w:{self._hashes('revocations', provider)[0]}"

    def provider_session(self, provider: str, issuer: str, sid: str) -> IndexOwner:
        return IndexOwner("az:p:", self._hashes("provider session", provider, issuer, sid))

    def owners_of_identity(
        self, identity: Identity, provider_session: str | None
    ) -> tuple[IndexOwner, ...]:
        """All under which sessions of this identity are listed and revoked."""
        owners = self.owners_of_user(
            identity.provider, identity.issuer, identity.subject, provider_session
        )
        sub = identity.claims.get("sub")
        if not isinstance(sub, str) or sub == identity.subject:
            return owners
        return (*owners, self.user_by_sub(identity.provider, identity.issuer, sub))

    def owners_of_user(
        self, provider: str, issuer: str, subject: str, provider_session: str | None
    ) -> tuple[IndexOwner, ...]:
        user = self.user(provider, issuer, subject)
        if provider_session is None:
            return (user,)
        return (user, self.provider_session(provider, issuer, provider_session))

    def _hashes(self, *parts: str) -> tuple[str, ...]:
        text = _encode_common_parts(*parts[:-1]) + _length_prefixed(parts[-1])
        return tuple([base64url_encode(key(text)[:_HASH_BYTES]) for key in self._keys])


@lru_cache(maxsize=256)
def _encode_common_parts(*parts: str) -> bytes:
    """What very many names begin with: a kind, a provider and an issuer."""
    return b"".join(map(_length_prefixed, parts))


def _length_prefixed(part: str) -> bytes:
    """With its length in front, so that no two lists of parts are written alike."""
    data = part.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(4) + data
