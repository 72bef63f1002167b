"""Service accounts, which operators create, list and revoke. Each token is a session without a
sign-in, stored like any other, so that it is cached, and revoked everywhere at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Identity, SessionKind
from authz_sidecar.routes.model import SERVICE_ACCOUNTS as PROVIDER
from authz_sidecar.sessions.api_tokens import ApiTokenPrefix, format_api_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions import SessionService, SessionSummary

SCOPE = "service-account"
ISSUER = ""

# One index name lists all of them.
_COMMON_INDEX_NAME = "all service accounts"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?")


class ServiceAccounts:
    """The service accounts in the session store. All methods raise `StoreUnavailable`."""

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    async def create_token(
        self,
        name: str,
        *,
        lifetime: float,
        routes: tuple[str, ...],
        groups: tuple[str, ...] = (),
        claims: Mapping[str, object] | None = None,
    ) -> tuple[str, Session]:
        """Return a new token, which cannot be shown again, and its session.

        `lifetime` is in seconds; `routes` are names, empty for all routes that accept service
        accounts. An account may have several tokens, so that one can be replaced without a gap.
        Raises `ValueError` for an invalid name or claim.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"`{name:.100}` is not a name such as `deploy-bot`")
        if "sub" in (claims or {}):
            raise ValueError("the claim `sub` is the name of the account")
        secret, session = await self._sessions.create(
            identity=Identity(
                provider=PROVIDER,
                issuer=ISSUER,
                subject=f"{PROVIDER}/{name}",
                groups=groups,
                claims=dict(claims or {}),
                is_service=True,
            ),
            scope=SCOPE,
            provider_session=_COMMON_INDEX_NAME,
            lifetime=lifetime,
            kind=SessionKind.SERVICE_ACCOUNT,
            routes=routes,
        )
        return format_api_token(ApiTokenPrefix.SERVICE_ACCOUNT, secret), session

    async def active_tokens(self) -> tuple[SessionSummary, ...]:
        """Return all valid tokens, the newest first."""
        return await self._sessions.list_for_provider_session(
            provider=PROVIDER, issuer=ISSUER, sid=_COMMON_INDEX_NAME
        )

    async def revoke(self, name_or_id: str) -> int:
        """Revoke all tokens of an account, or the one with this id; return how many there were."""
        # One by one: a session's end is recorded for the session's own lifetime, while the watermark
        # of a user is kept only as long as sessions of sign-ins last.
        names_or_ids = {f"{PROVIDER}/{name_or_id}", name_or_id}
        ended = [
            summary
            for summary in await self.active_tokens()
            if names_or_ids & {summary.subject, summary.handle}
        ]
        for summary in ended:
            await self._sessions.end_listed(summary)
        return len(ended)
