"""Tokens of configured issuers in `Authorization`: under `Bearer` (RFC 6750) and, with a proof of the
key they are bound to, under `DPoP` (RFC 9449).

Decides which issuer judges a token, whether it is used as it may be used, and what is answered where
it does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, assert_never

from authz_sidecar.core.types import Session
from authz_sidecar.errors import CredentialsRefused
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.tokens.claims import unverified_issuer
from authz_sidecar.tokens.dpop import verify_proof, wrong_proof
from authz_sidecar.tokens.introspection import IntrospectedTokens
from authz_sidecar.tokens.jwt import SignedTokens
from authz_sidecar.tokens.protected_resource import metadata_url
from authz_sidecar.tokens.settings import PROOF_SECONDS, TokenRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens.authorization_header import Presented
    from authz_sidecar.tokens.claims import Accepted
    from authz_sidecar.tokens.dpop import Nonces
    from authz_sidecar.tokens.settings import IssuerSettings

Issuer = SignedTokens | IntrospectedTokens


class OnceMemory(Protocol):
    """`Sessions`, as far as proofs need it."""

    async def remember_once(self, key: str, *, ttl: float) -> bool: ...


class Bearers:
    """`issuers` by the names that routes use. `name` makes of a token what logs may call it.

    The last kind to be asked: opaque tokens can be anybody's, and what no issuer knows is refused.
    """

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        *,
        proofs: OnceMemory,
        nonces: Nonces,
        clock: Callable[[], float],
        name: Callable[[str], str],
    ) -> None:
        self._issuers = issuers
        self._proofs = proofs
        self._nonces = nonces
        self._clock = clock
        self._name = name

    def schemes(self, route: Route) -> frozenset[str]:
        """`bearer` too where every issuer wants a proof: to be refused, and not passed over."""
        return frozenset({"bearer", "dpop"} if route.token_issuers else ())

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        return self._challenges(request, route)

    async def identify(self, given: Presented, request: CheckRequest, route: Route) -> Session:
        token = given.token68 or ""
        try:
            issuer, accepted = await self._accepted(token, request, route)
            await self._check_use(given, token, accepted, issuer.settings, request)
        except TokenRefused as error:
            raise self._refused(error, given, request, route) from error
        return Session(
            handle=self._name(token),
            kind=accepted.kind,
            scope=str(request.origin),
            identity=accepted.identity,
            created_at=accepted.issued_at,
            expires_at=accepted.expires_at,
        )

    async def _accepted(
        self, token: str, request: CheckRequest, route: Route
    ) -> tuple[Issuer, Accepted]:
        """By the first of the route's issuers for which it counts."""
        if not token:
            raise TokenRefused("the credentials are no token")
        claimed = unverified_issuer(token)
        refusal = TokenRefused("token of nobody whose tokens the route accepts")
        for name in route.token_issuers:
            issuer = self._issuers[name]
            # A signed token says whose it is; whoever it does not name is not asked.
            if claimed is not None and claimed != issuer.settings.issuer:
                continue
            try:
                match issuer:
                    case SignedTokens() if claimed is None:
                        continue
                    case SignedTokens():
                        return issuer, await issuer.judge(token)
                    case IntrospectedTokens():
                        return issuer, await issuer.judge(token, client=request.client)
                    case _:
                        assert_never(issuer)
            except TokenRefused as error:
                refusal = _about(error, issuer.settings)
        raise refusal

    async def _check_use(
        self,
        given: Presented,
        token: str,
        accepted: Accepted,
        settings: IssuerSettings,
        request: CheckRequest,
    ) -> None:
        if given.scheme != "dpop":
            # RFC 9449 section 7.2: a bound token is not to be taken as a bearer token.
            if accepted.thumbprint is not None or settings.require_dpop:
                raise TokenRefused(f"token of `{settings.name}` without proof of its key")
            return
        now = self._clock()
        proof = verify_proof(request, token=token, thumbprint=accepted.thumbprint, now=now)
        if settings.dpop_nonce and not self._nonces.is_ours(proof.nonce or "", now=now):
            raise TokenRefused(
                "DPoP: the proof has no current nonce",
                code="use_dpop_nonce",
                public="The DPoP proof needs the nonce that is given here.",
            )
        # Only now is anything written, and only for whoever holds a genuine token and its key.
        used = f"DPoP proof {proof.thumbprint} {proof.id}"
        if request.repeated:
            # The first question has used it; of all that is refused then, only that is not seen here.
            fresh = request.refused_for != "credentials"
        else:
            fresh = await self._proofs.remember_once(used, ttl=2 * PROOF_SECONDS)
        if not fresh:
            raise wrong_proof("the proof was used before")

    def _refused(
        self, error: TokenRefused, given: Presented, request: CheckRequest, route: Route
    ) -> CredentialsRefused:
        wrong = f'error="{error.code}", error_description="{error.public}"'
        challenges = self._challenges(request, route, wrong=wrong)
        headers = [("www-authenticate", challenge) for challenge in challenges]
        if error.code == "use_dpop_nonce":
            headers.append(("dpop-nonce", self._nonces.current(now=self._clock())))
        return CredentialsRefused(
            str(error),
            kind=given.scheme,
            code=error.code,
            headers=tuple(headers),
            public=error.public,
        )

    def _challenges(
        self, request: CheckRequest, route: Route, *, wrong: str = ""
    ) -> tuple[str, ...]:
        """RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1."""
        about = f'resource_metadata="{metadata_url(request.origin, route)}"'
        settings = [self._issuers[name].settings for name in route.token_issuers]
        found = []
        if not all(each.require_dpop for each in settings):
            found.append(f"Bearer {', '.join(filter(None, (wrong, about)))}")
        if any(each.require_dpop for each in settings) or "dpop" in wrong:
            algorithms = f'algs="{" ".join(ALGORITHMS)}"'
            found.append(f"DPoP {', '.join(filter(None, (wrong, algorithms, about)))}")
        return tuple(found)


def _about(error: TokenRefused, settings: IssuerSettings) -> TokenRefused:
    message = f"token of `{settings.name}`: {error}"
    return TokenRefused(message, code=error.code, public=error.public)
