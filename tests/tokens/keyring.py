"""The simplest kind of credential: passwords that are known, for tests of what surrounds a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.errors import CredentialsRefused, StoreUnavailable

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens import Credentials

BOT = Identity(
    provider="ci",
    issuer="https://ci.example.com",
    subject="ci/bot",
    claims={"project": "app"},
    is_service=True,
)
GOOD = ("authorization", "Bearer good")
BAD = ("authorization", "Bearer bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAuthenticator:
    """`good` is the bot's, `bad` is revoked, `lost` nobody can tell; all else is another kind's."""

    scheme: str = "bearer"

    def schemes(self, route: Route) -> frozenset[str]:
        return frozenset({self.scheme} if "ci" in route.token_issuers else ())

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        del request
        return (f'{self.scheme.title()} realm="{route.name}"',)

    async def authenticate(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> Session | None:
        if credentials.token68 == "good":
            return Session(
                public_id="g",
                kind=SessionKind.TOKEN,
                scope=str(request.origin),
                identity=BOT,
                created_at=0.0,
                expires_at=1e12,
            )
        if credentials.token68 == "lost":
            raise StoreUnavailable("no route to the issuer")
        if credentials.token68 == "bad":
            challenge = f'{self.challenges(request, route)[0]}, error="invalid_token"'
            headers = (("www-authenticate", challenge),)
            raise CredentialsRefused("revoked", kind="bearer", headers=headers)
        return None
