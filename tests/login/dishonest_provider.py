"""A hostile provider that begins by telling the truth; each test then says where it lies."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from authz_sidecar.oidc.logout_token import EVENT
from tests.servers.hostile_provider import HostileProvider, document
from tests.support import signed_tokens

KEY = signed_tokens.signing_key("RS256")


@dataclass
class TamperedProvider:
    server: HostileProvider

    def __post_init__(self) -> None:
        self.server.offers(userinfo_endpoint=f"{self.server.issuer}/userinfo")
        self.server.answers["/jwks"] = document({"keys": [KEY.jwk]})
        self.server.answers["/userinfo"] = document({"sub": "alice"})
        self.set_token_response()

    def id_token(self, **changes: object) -> str:
        now = int(time.time())
        good = {"iss": self.server.issuer, "iat": now, "exp": now + 60, "nonce": "n"}
        return KEY.sign(signed_tokens.claims(**{**good, **changes}))

    def logout_token(self, *, header: dict[str, object] | None = None, **changes: object) -> str:
        """A change to `None` removes a claim."""
        now = int(time.time())
        good: dict[str, object] = {
            "iss": self.server.issuer,
            "aud": signed_tokens.CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "sid": "provider-session",
            "events": {EVENT: {}},
        }
        claims = {name: value for name, value in (good | changes).items() if value is not None}
        return KEY.sign(claims, **(header or {"typ": "logout+jwt"}))

    def set_token_response(self, **changes: object) -> None:
        """Every code is good for these."""
        good = {"token_type": "Bearer", "access_token": "at", "id_token": self.id_token()}
        self.server.answers["/token"] = document(
            {name: value for name, value in (good | changes).items() if value is not None}
        )
