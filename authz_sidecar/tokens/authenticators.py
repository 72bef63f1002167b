"""Who calls, by whichever kind of credential: the kinds are tried in order, each on the routes that
name it.

A route accepts only what it names. Where it names nothing for the scheme of a line, that line is the
application's business; where it does, what no kind vouches for is refused, and never passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from authz_sidecar.errors import CredentialsRefused
from authz_sidecar.tokens.authorization_header import Credentials, parse_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.types import CheckRequest, Session
    from authz_sidecar.routes.model import Route


class Authenticator(Protocol):
    """One kind of credential, such as the tokens of configured issuers."""

    def schemes(self, route: Route) -> frozenset[str]:
        """The schemes, in lower case, under which a route accepts this kind; empty where the route
        does not name it."""
        ...

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        """Values of `WWW-Authenticate` that invite to it; of a route that accepts it only."""
        ...

    async def authenticate(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> Session | None:
        """None where these credentials are of another kind. Raises `CredentialsRefused` where they
        are of this one and do not count. `request.repeated` must leave no trace: it is asked for
        the words of a refusal alone."""
        ...


class AuthenticatorChain:
    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        by_authenticator = (
            authenticator.challenges(request, route)
            for authenticator in self._authenticators_of(route)
        )
        return tuple(
            dict.fromkeys(challenge for challenges in by_authenticator for challenge in challenges)
        )

    async def authenticate(self, request: CheckRequest, route: Route) -> Session | None:
        """None where the request brings nothing that the route accepts from its like; raises
        `CredentialsRefused`. There is one line at most: the gate refuses more."""
        authenticators = self._authenticators_of(route)
        line = request.header("authorization") if authenticators else None
        if line is None:
            return None
        # What cannot be read is not passed over either: somebody behind us may read it.
        credentials = parse_credentials(line) or Credentials("", "")
        authenticators = [
            authenticator
            for authenticator in authenticators
            if credentials.scheme in authenticator.schemes(route)
        ]
        for authenticator in authenticators:
            session = await authenticator.authenticate(credentials, request, route)
            if session is not None:
                return session
        if authenticators or not credentials.scheme:
            raise self._unauthorized(credentials, request, route)
        return None

    def _authenticators_of(self, route: Route) -> list[Authenticator]:
        return [
            authenticator for authenticator in self._authenticators if authenticator.schemes(route)
        ]

    def _unauthorized(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> CredentialsRefused:
        challenges = self.challenges(request, route)
        return CredentialsRefused(
            f"credentials of scheme `{credentials.scheme:.20}` that nobody accepted here vouches for",
            kind=credentials.scheme or "unreadable",
            headers=tuple(("www-authenticate", challenge) for challenge in challenges),
        )
