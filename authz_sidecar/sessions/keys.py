"""What everything is called in the store: a prefix that says what it is, and a keyed hash.

Whoever reads the store learns neither a cookie nor who is signed in. A name is made under each
secret, the newest first: with any of them it may have been written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from authz_sidecar.core.encoding import base64url
from authz_sidecar.sealing import KeyedHash

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity
    from authz_sidecar.sealing import SecretKeys

_HASH_BYTES = 16


def session_key(handle: str) -> str:
    """The identity of a session."""
    return f"az:s:{{{handle}}}"


def listing_key(handle: str) -> str:
    """What lists show of it."""
    return f"az:m:{{{handle}}}"


def tokens_key(handle: str) -> str:
    """The provider's tokens."""
    return f"az:t:{{{handle}}}"


def vault_key(handle: str) -> str:
    """What a sign-in and its children share for refreshes."""
    return f"az:v:{{{handle}}}"


def refresh_lock_key(handle: str) -> str:
    """Who refreshes it at the moment, or tried a moment ago."""
    return f"az:k:{{{handle}}}"


def last_use_key(handle: str) -> str:
    """When it was last used; there is none for a child, whose parent's counts."""
    return f"az:l:{{{handle}}}"


def ended_key(handle: str) -> str:
    """The watermark of one session: it was ended, whatever else the store still holds of it."""
    return f"az:r:{{{handle}}}"


def name_of(key: str) -> str:
    """What is named by a key of the forms above, or by that of an index or a watermark."""
    return key[6:-1]


DECIDING = ("az:s:", "az:r:")
"""How the keys begin that decide whether a session stands. Last use is none of them: it is written
all the time, and nobody's copy of a session becomes wrong by it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A user, or a session at a provider, in the store: one name for each secret. `prefix` is how
    the keys of its indexes begin."""

    prefix: str
    names: tuple[str, ...]

    @property
    def indexes(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}{{{name}}}" for name in self.names)

    @property
    def watermarks(self) -> tuple[str, ...]:
        return tuple(map(ended_key, self.names))


class Naming:
    """Names by HMAC under keys derived from the secrets."""

    __slots__ = ("_keys",)

    def __init__(self, secrets: SecretKeys) -> None:
        self._keys = tuple(map(KeyedHash, secrets.derive("names in the store")))

    def handles(self, token: str) -> tuple[str, ...]:
        """What a session of this cookie may be called; a new one is called by the first."""
        return self._hashes("session", token)

    def tickets(self, ticket: str) -> tuple[str, ...]:
        return tuple(f"az:x:{name}" for name in self._hashes("ticket", ticket))

    def once(self, key: str) -> tuple[str, ...]:
        return tuple(f"az:o:{name}" for name in self._hashes("once", key))

    def counter(self, key: str) -> str:
        return f"az:c:{self._hashes('counter', key)[0]}"

    def user(self, provider: str, issuer: str, subject: str) -> Subject:
        return Subject("az:u:", self._hashes("user", provider, issuer, subject))

    def account(self, provider: str, issuer: str, sub: str) -> Subject:
        """A user as the provider calls them, where `claims.user` names another claim than `sub`."""
        return Subject("az:p:", self._hashes("account", provider, issuer, sub))

    def revocations(self, provider: str) -> str:
        """Where it says for some minutes which watermarks were set lately."""
        return f"az:w:{self._hashes('revocations', provider)[0]}"

    def provider_session(self, provider: str, issuer: str, sid: str) -> Subject:
        return Subject("az:p:", self._hashes("provider session", provider, issuer, sid))

    def subjects(self, identity: Identity, provider_session: str | None) -> tuple[Subject, ...]:
        """All under which sessions of this identity are listed and revoked."""
        subjects = self.subjects_of(
            identity.provider, identity.issuer, identity.subject, provider_session
        )
        sub = identity.claims.get("sub")
        if not isinstance(sub, str) or sub == identity.subject:
            return subjects
        return (*subjects, self.account(identity.provider, identity.issuer, sub))

    def subjects_of(
        self, provider: str, issuer: str, subject: str, provider_session: str | None
    ) -> tuple[Subject, ...]:
        user = self.user(provider, issuer, subject)
        if provider_session is None:
            return (user,)
        return (user, self.provider_session(provider, issuer, provider_session))

    def _hashes(self, *parts: str) -> tuple[str, ...]:
        text = _common(*parts[:-1]) + _framed(parts[-1])
        return tuple([base64url(key(text)[:_HASH_BYTES]) for key in self._keys])


@lru_cache(maxsize=256)
def _common(*parts: str) -> bytes:
    """What very many names begin with: a kind, a provider and an issuer."""
    return b"".join(map(_framed, parts))


def _framed(part: str) -> bytes:
    """With its length in front, so that no two lists of parts are written alike."""
    data = part.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(4) + data
