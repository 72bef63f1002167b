"""A hostile provider that begins by telling the truth; each test then says where it lies."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.login import signing
from tests.servers.hostile_provider import HostileProvider, document

KEY = signing.signing_key("RS256")


@dataclass
class Lies:
    provider: HostileProvider

    def __post_init__(self) -> None:
        self.provider.offers(userinfo_endpoint=f"{self.provider.issuer}/userinfo")
        self.provider.answers["/jwks"] = document({"keys": [KEY.jwk]})
        self.provider.answers["/userinfo"] = document({"sub": "alice"})
        self.token()

    def id_token(self, **changes: object) -> str:
        now = int(time.time())
        good = {"iss": self.provider.issuer, "iat": now, "exp": now + 60, "nonce": "n"}
        return KEY.sign(signing.claims(**{**good, **changes}))

    def token(self, **changes: object) -> None:
        """Every code is good for these."""
        good = {"token_type": "Bearer", "access_token": "at", "id_token": self.id_token()}
        self.provider.answers["/token"] = document(
            {name: value for name, value in (good | changes).items() if value is not None}
        )
