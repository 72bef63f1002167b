"""Who calls, by whichever kind of credential: the kinds are tried in order, each on the routes that
name it.

A route accepts only what it names. Where it names nothing for the scheme of a line, that line is the
application's business; where it does, what no kind vouches for is refused, and never passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from authz_sidecar.errors import CredentialsRefused
from authz_sidecar.tokens.authorization_header import Presented, presented

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.types import CheckRequest, Session
    from authz_sidecar.routes.model import Route


class CredentialKind(Protocol):
    """One kind of credential, such as the tokens of configured issuers."""

    def schemes(self, route: Route) -> frozenset[str]:
        """The schemes, in lower case, under which a route accepts this kind; empty where the route
        does not name it."""
        ...

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        """Values of `WWW-Authenticate` that invite to it; of a route that accepts it only."""
        ...

    async def identify(
        self, given: Presented, request: CheckRequest, route: Route
    ) -> Session | None:
        """None where these credentials are of another kind. Raises `CredentialsRefused` where they
        are of this one and do not count. `request.repeated` must leave no trace: it is asked for
        the words of a refusal alone."""
        ...


class Callers:
    def __init__(self, kinds: Sequence[CredentialKind]) -> None:
        self._kinds = tuple(kinds)

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        found = (kind.challenges(request, route) for kind in self._accepted(route))
        return tuple(dict.fromkeys(challenge for each in found for challenge in each))

    async def identify(self, request: CheckRequest, route: Route) -> Session | None:
        """None where the request brings nothing that the route accepts from its like; raises
        `CredentialsRefused`. There is one line at most: the gate refuses more."""
        kinds = self._accepted(route)
        line = request.header("authorization") if kinds else None
        if line is None:
            return None
        # What cannot be read is not passed over either: somebody behind us may read it.
        given = presented(line) or Presented("", "")
        kinds = [kind for kind in kinds if given.scheme in kind.schemes(route)]
        for kind in kinds:
            caller = await kind.identify(given, request, route)
            if caller is not None:
                return caller
        if kinds or not given.scheme:
            raise self._refused(given, request, route)
        return None

    def _accepted(self, route: Route) -> list[CredentialKind]:
        return [kind for kind in self._kinds if kind.schemes(route)]

    def _refused(self, given: Presented, request: CheckRequest, route: Route) -> CredentialsRefused:
        challenges = self.challenges(request, route)
        return CredentialsRefused(
            f"credentials of scheme `{given.scheme:.20}` that nobody accepted here vouches for",
            kind=given.scheme or "unreadable",
            headers=tuple(("www-authenticate", challenge) for challenge in challenges),
        )
