"""The chain of authenticators: each kind of credential is tried in order, on the routes that name
it.

A route accepts only the kinds it names. Where it names none for the scheme of the header, the
header belongs to the application; where it does, credentials that no authenticator accepts are
refused.
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
    """Authenticates one kind of credential, such as the tokens of configured issuers."""

    def schemes(self, route: Route) -> frozenset[str]:
        """Return the schemes, in lower case, under which a route accepts this kind; empty if it
        does not."""
        ...

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        """Return the values of `WWW-Authenticate` for this kind, for a route that accepts it."""
        ...

    async def authenticate(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> Session | None:
        """Return the caller's session; None when the credentials are of another kind.

        Raises `CredentialsRefused` when they are of this kind and not valid. With
        `request.is_challenge_phase` it must change nothing: it only repeats the reason of a
        refusal.
        """
        ...


class AuthenticatorChain:
    """The authenticators, in the order in which they are tried."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        """Return the values of `WWW-Authenticate` for all kinds that the route accepts."""
        by_authenticator = (
            authenticator.challenges(request, route)
            for authenticator in self._authenticators_of(route)
        )
        return tuple(
            dict.fromkeys(challenge for challenges in by_authenticator for challenge in challenges)
        )

    async def authenticate(self, request: CheckRequest, route: Route) -> Session | None:
        """Return the caller's session; None when the route accepts no credentials of this scheme.

        Raises `CredentialsRefused`. The request has at most one `Authorization` header: the
        authorizer refuses more.
        """
        authenticators = self._authenticators_of(route)
        line = request.header("authorization") if authenticators else None
        if line is None:
            return None
        # A header that cannot be parsed is refused too: the application might parse it.
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
            f"credentials of scheme `{credentials.scheme:.20}` that no authenticator of the route accepts",
            kind=credentials.scheme or "unreadable",
            headers=tuple(("www-authenticate", challenge) for challenge in challenges),
        )
