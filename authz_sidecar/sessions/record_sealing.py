"""Which record is sealed under what: the identity and the tokens under secret and cookie, so that
neither a copy of the store nor the server's key alone opens them; what lists show under the secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions import codec

if TYPE_CHECKING:
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.records import Listing, ProviderTokens, Record, Vault

_SESSION = "session"
_LISTING = "session listing"
_TOKENS = "provider tokens"
_TICKET = "ticket"
_VAULT = "vault"


@dataclass(frozen=True, slots=True)
class Envelopes:
    secrets: SecretKeys

    def close_record(self, record: Record, *, token: str) -> bytes:
        return self.secrets.seal(_SESSION, codec.encode_record(record), mixed_with=token.encode())

    def open_record(self, sealed: bytes, *, token: str, handle: str) -> Record | None:
        data = self.secrets.open(_SESSION, sealed, mixed_with=token.encode())
        return None if data is None else codec.decode_record(data, handle=handle)

    def close_tokens(self, tokens: ProviderTokens, *, token: str) -> bytes:
        return self.secrets.seal(_TOKENS, codec.encode_tokens(tokens), mixed_with=token.encode())

    def open_tokens(self, sealed: bytes, *, token: str) -> ProviderTokens | None:
        data = self.secrets.open(_TOKENS, sealed, mixed_with=token.encode())
        return None if data is None else codec.decode_tokens(data)

    def close_vault(self, vault: Vault, *, key: str) -> bytes:
        return self.secrets.seal(_VAULT, codec.encode_vault(vault), mixed_with=key.encode())

    def open_vault(self, sealed: bytes, *, key: str) -> Vault | None:
        data = self.secrets.open(_VAULT, sealed, mixed_with=key.encode())
        return None if data is None else codec.decode_vault(data)

    def close_listing(self, listing: Listing) -> bytes:
        bound_to = listing.summary.handle.encode()
        return self.secrets.seal(_LISTING, codec.encode_listing(listing), bound_to=bound_to)

    def open_listing(self, sealed: bytes, *, handle: str) -> Listing | None:
        data = self.secrets.open(_LISTING, sealed, bound_to=handle.encode())
        return None if data is None else codec.decode_listing(data, handle=handle)

    def close_ticket(self, payload: bytes, *, ticket: str) -> bytes:
        return self.secrets.seal(_TICKET, payload, mixed_with=ticket.encode())

    def open_ticket(self, sealed: bytes, *, ticket: str) -> bytes | None:
        return self.secrets.open(_TICKET, sealed, mixed_with=ticket.encode())
