"""Sealing of stored records: which secrets each kind of record is encrypted under.

Identity and provider tokens are sealed under the secret keys and the cookie, so that neither a
copy of the store nor the secret keys alone open them. Listings are sealed under the secret keys
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions import codec

if TYPE_CHECKING:
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.records import (
        ProviderTokens,
        RefreshVault,
        SessionListing,
        SessionRecord,
    )

_SESSION = "session"
_LISTING = "session listing"
_TOKENS = "provider tokens"
_TICKET = "ticket"
_VAULT = "vault"


@dataclass(frozen=True, slots=True)
class RecordSealer:
    """Seals and opens stored records. Every `open_` method returns None for data that was not
    sealed under the same secrets, was modified, or does not decode."""

    secret_keys: SecretKeys

    def seal_record(self, record: SessionRecord, *, token: str) -> bytes:
        """The record sealed under the cookie value."""
        return self.secret_keys.seal(
            _SESSION, codec.encode_record(record), extra_secret=token.encode()
        )

    def open_record(self, sealed: bytes, *, token: str, public_id: str) -> SessionRecord | None:
        """The record that `seal_record` sealed; `public_id` becomes the ID of its session."""
        data = self.secret_keys.open(_SESSION, sealed, extra_secret=token.encode())
        return None if data is None else codec.decode_record(data, public_id=public_id)

    def seal_tokens(self, tokens: ProviderTokens, *, token: str) -> bytes:
        """The provider's tokens sealed under the cookie value."""
        return self.secret_keys.seal(
            _TOKENS, codec.encode_tokens(tokens), extra_secret=token.encode()
        )

    def open_tokens(self, sealed: bytes, *, token: str) -> ProviderTokens | None:
        """The tokens that `seal_tokens` sealed."""
        data = self.secret_keys.open(_TOKENS, sealed, extra_secret=token.encode())
        return None if data is None else codec.decode_tokens(data)

    def seal_vault(self, vault: RefreshVault, *, vault_key: str) -> bytes:
        """The refresh vault sealed under its own key."""
        return self.secret_keys.seal(
            _VAULT, codec.encode_vault(vault), extra_secret=vault_key.encode()
        )

    def open_vault(self, sealed: bytes, *, vault_key: str) -> RefreshVault | None:
        """The refresh vault that `seal_vault` sealed."""
        data = self.secret_keys.open(_VAULT, sealed, extra_secret=vault_key.encode())
        return None if data is None else codec.decode_vault(data)

    def seal_listing(self, listing: SessionListing) -> bytes:
        """The listing sealed under the secret keys and bound to its public ID."""
        associated_data = listing.summary.handle.encode()
        return self.secret_keys.seal(
            _LISTING, codec.encode_listing(listing), associated_data=associated_data
        )

    def open_listing(self, sealed: bytes, *, public_id: str) -> SessionListing | None:
        """The listing that `seal_listing` sealed for this public ID."""
        data = self.secret_keys.open(_LISTING, sealed, associated_data=public_id.encode())
        return None if data is None else codec.decode_listing(data, public_id=public_id)

    def seal_ticket(self, payload: bytes, *, ticket: str) -> bytes:
        """The payload of a ticket sealed under the ticket."""
        return self.secret_keys.seal(_TICKET, payload, extra_secret=ticket.encode())

    def open_ticket(self, sealed: bytes, *, ticket: str) -> bytes | None:
        """The payload that `seal_ticket` sealed."""
        return self.secret_keys.open(_TICKET, sealed, extra_secret=ticket.encode())
