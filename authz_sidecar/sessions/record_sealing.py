"""Which record is sealed under what: the identity and the tokens under secret and cookie, so that
neither a copy of the store nor the server's key alone opens them; what lists show under the secret.
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
    secret_keys: SecretKeys

    def seal_record(self, record: SessionRecord, *, token: str) -> bytes:
        return self.secret_keys.seal(
            _SESSION, codec.encode_record(record), extra_secret=token.encode()
        )

    def open_record(self, sealed: bytes, *, token: str, public_id: str) -> SessionRecord | None:
        data = self.secret_keys.open(_SESSION, sealed, extra_secret=token.encode())
        return None if data is None else codec.decode_record(data, public_id=public_id)

    def seal_tokens(self, tokens: ProviderTokens, *, token: str) -> bytes:
        return self.secret_keys.seal(
            _TOKENS, codec.encode_tokens(tokens), extra_secret=token.encode()
        )

    def open_tokens(self, sealed: bytes, *, token: str) -> ProviderTokens | None:
        data = self.secret_keys.open(_TOKENS, sealed, extra_secret=token.encode())
        return None if data is None else codec.decode_tokens(data)

    def seal_vault(self, vault: RefreshVault, *, vault_key: str) -> bytes:
        return self.secret_keys.seal(
            _VAULT, codec.encode_vault(vault), extra_secret=vault_key.encode()
        )

    def open_vault(self, sealed: bytes, *, vault_key: str) -> RefreshVault | None:
        data = self.secret_keys.open(_VAULT, sealed, extra_secret=vault_key.encode())
        return None if data is None else codec.decode_vault(data)

    def seal_listing(self, listing: SessionListing) -> bytes:
        associated_data = listing.summary.handle.encode()
        return self.secret_keys.seal(
            _LISTING, codec.encode_listing(listing), associated_data=associated_data
        )

    def open_listing(self, sealed: bytes, *, public_id: str) -> SessionListing | None:
        data = self.secret_keys.open(_LISTING, sealed, associated_data=public_id.encode())
        return None if data is None else codec.decode_listing(data, public_id=public_id)

    def seal_ticket(self, payload: bytes, *, ticket: str) -> bytes:
        return self.secret_keys.seal(_TICKET, payload, extra_secret=ticket.encode())

    def open_ticket(self, sealed: bytes, *, ticket: str) -> bytes | None:
        return self.secret_keys.open(_TICKET, sealed, extra_secret=ticket.encode())
