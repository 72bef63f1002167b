"""Access tokens of configured issuers: under `Bearer` (RFC 6750) and, with a proof of the key they
are bound to, under `DPoP` (RFC 9449).

Decides which issuer verifies a token, whether its key binding is proved, and the response when it
is not valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, assert_never

from authz_sidecar.core.types import Session
from authz_sidecar.errors import CredentialsRefused
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.tokens.claims import unverified_issuer
from authz_sidecar.tokens.dpop import invalid_proof, verify_proof
from authz_sidecar.tokens.introspection import TokenIntrospector
from authz_sidecar.tokens.jwt import JWTVerifier
from authz_sidecar.tokens.protected_resource import metadata_url
from authz_sidecar.tokens.settings import MAX_PROOF_AGE_SECONDS, TokenRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens.authorization_header import Credentials
    from authz_sidecar.tokens.claims import VerifiedToken
    from authz_sidecar.tokens.dpop import DPoPNonces
    from authz_sidecar.tokens.settings import IssuerSettings

AccessTokenVerifier = JWTVerifier | TokenIntrospector


class ReplayGuard(Protocol):
    """Remembers used proofs, in the session store."""

    async def mark_used(self, key: str, *, ttl: float) -> bool:
        """Mark a key as used for `ttl` seconds; False if it was used before. Raises
        `StoreUnavailable`."""


class AccessTokenAuthenticator:
    """Authenticates access tokens; the last of the chain, because any opaque token may be meant for
    it.

    - `verifiers`: by the issuer names that routes use.
    - `fingerprint`: returns the public id of a token for logs.
    """

    def __init__(
        self,
        verifiers: Mapping[str, AccessTokenVerifier],
        *,
        replay_guard: ReplayGuard,
        nonces: DPoPNonces,
        clock: Callable[[], float],
        fingerprint: Callable[[str], str],
    ) -> None:
        self._verifiers = verifiers
        self._replay_guard = replay_guard
        self._nonces = nonces
        self._clock = clock
        self._fingerprint = fingerprint

    def schemes(self, route: Route) -> frozenset[str]:
        """Return both schemes; `bearer` also where every issuer requires a proof, so that it is
        refused."""
        return frozenset({"bearer", "dpop"} if route.token_issuers else ())

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        """Return the values of `WWW-Authenticate` for the route's issuers."""
        return self._challenges(request, route)

    async def authenticate(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> Session:
        """Return the session of an access token.

        Raises `CredentialsRefused` when it is not valid, `RateLimited`, and `ProviderUnavailable`
        when its issuer does not answer.
        """
        token = credentials.token68 or ""
        try:
            verifier, verified = await self._verify_token(token, request, route)
            await self._check_key_binding(credentials, token, verified, verifier.settings, request)
        except TokenRefused as error:
            raise self._unauthorized(error, credentials, request, route) from error
        return Session(
            public_id=self._fingerprint(token),
            kind=verified.kind,
            scope=str(request.origin),
            identity=verified.identity,
            created_at=verified.issued_at,
            expires_at=verified.expires_at,
        )

    async def _verify_token(
        self, token: str, request: CheckRequest, route: Route
    ) -> tuple[AccessTokenVerifier, VerifiedToken]:
        """Return the first issuer of the route that accepts the token, and the verified token."""
        if not token:
            raise TokenRefused("the credentials are not a token")
        claimed_issuer = unverified_issuer(token)
        refusal = TokenRefused("token of an issuer that the route does not accept")
        for name in route.token_issuers:
            verifier = self._verifiers[name]
            # A signed token names its issuer; no other one is asked.
            if claimed_issuer is not None and claimed_issuer != verifier.settings.issuer:
                continue
            try:
                match verifier:
                    case JWTVerifier() if claimed_issuer is None:
                        continue
                    case JWTVerifier():
                        return verifier, await verifier.verify(token)
                    case TokenIntrospector():
                        return verifier, await verifier.verify(token, client=request.client)
                    case _:
                        assert_never(verifier)
            except TokenRefused as error:
                refusal = _with_issuer_name(error, verifier.settings)
        raise refusal

    async def _check_key_binding(
        self,
        credentials: Credentials,
        token: str,
        verified: VerifiedToken,
        settings: IssuerSettings,
        request: CheckRequest,
    ) -> None:
        if credentials.scheme != "dpop":
            # RFC 9449 section 7.2: a bound token is not to be taken as a bearer token.
            if verified.thumbprint is not None or settings.require_dpop:
                raise TokenRefused(f"token of `{settings.name}` without proof of its key")
            return
        now = self._clock()
        proof = verify_proof(request, token=token, thumbprint=verified.thumbprint, now=now)
        if settings.dpop_nonce and not self._nonces.is_valid(proof.nonce or "", now=now):
            raise TokenRefused(
                "DPoP: the proof has no current nonce",
                code="use_dpop_nonce",
                public_message="The DPoP proof must have the nonce of this response.",
            )
        # Nothing is written before the token and the possession of its key are verified.
        replay_key = f"DPoP proof {proof.thumbprint} {proof.jti}"
        if request.is_challenge_phase:
            # The first subrequest marked it as used; a replay is the only refusal that is repeated.
            is_first_use = request.first_denial_reason != "credentials"
        else:
            is_first_use = await self._replay_guard.mark_used(
                replay_key, ttl=2 * MAX_PROOF_AGE_SECONDS
            )
        if not is_first_use:
            raise invalid_proof("the proof was used before")

    def _unauthorized(
        self, error: TokenRefused, credentials: Credentials, request: CheckRequest, route: Route
    ) -> CredentialsRefused:
        error_parameters = f'error="{error.code}", error_description="{error.public_message}"'
        challenges = self._challenges(request, route, error_parameters=error_parameters)
        headers = [("www-authenticate", challenge) for challenge in challenges]
        if error.code == "use_dpop_nonce":
            headers.append(("dpop-nonce", self._nonces.current(now=self._clock())))
        return CredentialsRefused(
            str(error),
            kind=credentials.scheme,
            code=error.code,
            headers=tuple(headers),
            public_message=error.public_message,
        )

    def _challenges(
        self, request: CheckRequest, route: Route, *, error_parameters: str = ""
    ) -> tuple[str, ...]:
        """Return the challenges of RFC 6750 section 3, RFC 9449 section 7.1 and RFC 9728 section
        5.1."""
        metadata_parameter = f'resource_metadata="{metadata_url(request.origin, route)}"'
        settings = [self._verifiers[name].settings for name in route.token_issuers]
        challenges = []
        if not all(issuer.require_dpop for issuer in settings):
            challenges.append(
                f"Bearer {', '.join(filter(None, (error_parameters, metadata_parameter)))}"
            )
        if any(issuer.require_dpop for issuer in settings) or "dpop" in error_parameters:
            algorithms = f'algs="{" ".join(ALGORITHMS)}"'
            challenges.append(
                f"DPoP {', '.join(filter(None, (error_parameters, algorithms, metadata_parameter)))}"
            )
        return tuple(challenges)


def _with_issuer_name(error: TokenRefused, settings: IssuerSettings) -> TokenRefused:
    message = f"token of `{settings.name}`: {error}"
    return TokenRefused(message, code=error.code, public_message=error.public_message)
