"""Names of keys in the store: a prefix for the kind of value, and a keyed hash.

A reader of the store learns neither a cookie nor a user from them. Each name exists once per
secret, the newest secret first, since any of them may have been the current one when the key was
written.
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
    """The key of a session record."""
    return f"az:s:{{{public_id}}}"


def listing_key(public_id: str) -> str:
    """The key of a session listing."""
    return f"az:m:{{{public_id}}}"


def tokens_key(public_id: str) -> str:
    """The key of the provider's tokens of a sign-in."""
    return f"az:t:{{{public_id}}}"


def vault_key(public_id: str) -> str:
    """The key of the refresh vault of a sign-in."""
    return f"az:v:{{{public_id}}}"


def refresh_lock_key(public_id: str) -> str:
    """The key of the lock that a running or recent refresh of a sign-in holds."""
    return f"az:k:{{{public_id}}}"


def last_use_key(public_id: str) -> str:
    """The key of the last use of a sign-in; children have none."""
    return f"az:l:{{{public_id}}}"


def ended_key(public_id: str) -> str:
    """The key of a watermark, which ends one session, or the sessions of an index owner."""
    return f"az:r:{{{public_id}}}"


def name_from_key(key: str) -> str:
    """The name inside a key of one of the forms above, or of an index or watermark."""
    return key[6:-1]


VALIDITY_PREFIXES = ("az:s:", "az:r:")
"""Prefixes of the keys that decide whether a session is valid. Last use is not among them: it is
written often, and does not make a cached session stale."""


@dataclass(frozen=True, slots=True)
class IndexOwner:
    """A user or a session at a provider, which owns an index of its sessions.

    `prefix`: the prefix of its index keys.
    `names`: its hashed name, once per secret.
    """

    prefix: str
    names: tuple[str, ...]

    @property
    def index_keys(self) -> tuple[str, ...]:
        """The keys of its indexes, one per secret."""
        return tuple(f"{self.prefix}{{{name}}}" for name in self.names)

    @property
    def watermark_keys(self) -> tuple[str, ...]:
        """The keys of its revocation watermarks, one per secret."""
        return tuple(map(ended_key, self.names))


class KeyNames:
    """Key names by HMAC-SHA256 under keys derived from the secrets."""

    __slots__ = ("_keys",)

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._keys = tuple(map(KeyedHash, secret_keys.derive("names in the store")))

    def public_ids(self, token: str) -> tuple[str, ...]:
        """The possible public IDs of the session with this cookie value; a new session has the
        first one."""
        return self._hashes("session", token)

    def ticket_keys(self, ticket: str) -> tuple[str, ...]:
        """The possible keys of a ticket; a new ticket has the first one."""
        return tuple(f"az:x:{name}" for name in self._hashes("ticket", ticket))

    def used_keys(self, key: str) -> tuple[str, ...]:
        """The keys that mark a one-time key as used, one per secret."""
        return tuple(f"az:o:{name}" for name in self._hashes("once", key))

    def counter_key(self, key: str) -> str:
        """The key of a counter."""
        return f"az:c:{self._hashes('counter', key)[0]}"

    def user(self, provider: str, issuer: str, subject: str) -> IndexOwner:
        """The index owner for a user by the claim that `claims.user` names."""
        return IndexOwner("az:u:", self._hashes("user", provider, issuer, subject))

    def user_by_sub(self, provider: str, issuer: str, sub: str) -> IndexOwner:
        """The index owner for a user by the `sub` claim, where `claims.user` names another
        claim."""
        return IndexOwner("az:p:", self._hashes("account", provider, issuer, sub))

    def revocations_key(self, provider: str) -> str:
        """The key of the index of recent watermarks of a provider."""
        return f"az:w:{self._hashes('revocations', provider)[0]}"

    def provider_session(self, provider: str, issuer: str, sid: str) -> IndexOwner:
        """The index owner for one session at the provider, by its `sid`."""
        return IndexOwner("az:p:", self._hashes("provider session", provider, issuer, sid))

    def owners_of_identity(
        self, identity: Identity, provider_session: str | None
    ) -> tuple[IndexOwner, ...]:
        """All index owners under which sessions of this identity are listed and revoked."""
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
        """The index owners for a user and, if there is one, for the session at the provider."""
        user = self.user(provider, issuer, subject)
        if provider_session is None:
            return (user,)
        return (user, self.provider_session(provider, issuer, provider_session))

    def _hashes(self, *parts: str) -> tuple[str, ...]:
        text = _encode_common_parts(*parts[:-1]) + _length_prefixed(parts[-1])
        return tuple([base64url_encode(key(text)[:_HASH_BYTES]) for key in self._keys])


@lru_cache(maxsize=256)
def _encode_common_parts(*parts: str) -> bytes:
    """The encoded leading parts of many names: a kind, a provider and an issuer."""
    return b"".join(map(_length_prefixed, parts))


def _length_prefixed(part: str) -> bytes:
    """The part behind its length, so that different lists of parts never have the same encoding."""
    data = part.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(4) + data
