"""Tokens of this service in `Authorization: Bearer`: service accounts, and command-line tools of
users.

Decides which routes a token opens: those that accept its kind, and of them those it is limited to,
or the host it was issued for. The session store decides whether it is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.accounts.service_accounts import SCOPE
from authz_sidecar.errors import CredentialsRefused
from authz_sidecar.routes.model import SERVICE_ACCOUNTS
from authz_sidecar.sessions.api_tokens import ApiTokenPrefix, parse_api_token, tool_scope

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest, Session
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens import Credentials


class SessionFinder(Protocol):
    """Finds sessions by their token."""

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """Return the session; None when it does not exist. Raises `StoreUnavailable`."""


@dataclass(frozen=True, slots=True)
class ApiTokenAuthenticator:
    """Authenticates service accounts and command-line tools."""

    sessions: SessionFinder

    def schemes(self, route: Route) -> frozenset[str]:
        """Return `bearer` for routes that accept one of the kinds."""
        return frozenset({"bearer"} if route.service_accounts or route.command_line_tools else ())

    def challenges(self, request: CheckRequest, route: Route) -> tuple[str, ...]:
        """Return a challenge, unless token issuers of the route have a more precise one."""
        # The challenge of token issuers says where to get a token, and one per scheme is enough.
        return () if route.token_issuers else (_challenge(request),)

    async def authenticate(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> Session | None:
        """Return the token's session; None when it is not a token of this service.

        Raises `CredentialsRefused` when it is not valid on this route.
        """
        parsed = parse_api_token(credentials.value)
        if parsed is None:
            return None
        prefix, secret = parsed
        if prefix is ApiTokenPrefix.SERVICE_ACCOUNT:
            session = await self._service_account(secret, route)
        else:
            session = await self._command_line_tool(secret, request, route)
        if session is None:
            raise CredentialsRefused(
                f"a token `{prefix}…` that is not valid, or not on the route `{route.name}`",
                kind=_credential_kind(prefix),
                # The client does not learn why: the token may be stolen.
                headers=(("www-authenticate", f'{_challenge(request)}, error="invalid_token"'),),
            )
        return session

    async def _service_account(self, secret: str, route: Route) -> Session | None:
        if not route.service_accounts:
            return None
        session = await self.sessions.find(secret, scope=SCOPE, provider=SERVICE_ACCOUNTS)
        if session is None or (session.routes and route.name not in session.routes):
            return None
        return session

    async def _command_line_tool(
        self, secret: str, request: CheckRequest, route: Route
    ) -> Session | None:
        if not route.command_line_tools:
            return None
        scope = tool_scope(request.origin)
        for provider in route.providers:
            session = await self.sessions.find(secret, scope=scope, provider=provider)
            if session is not None:
                return session
        return None


def _challenge(request: CheckRequest) -> str:
    # RFC 6750 section 3: a challenge has at least one parameter.
    return f'Bearer realm="{request.origin.authority}"'


def _credential_kind(prefix: ApiTokenPrefix) -> str:
    return {ApiTokenPrefix.SERVICE_ACCOUNT: "service-account", ApiTokenPrefix.TOOL: "tool"}[prefix]
