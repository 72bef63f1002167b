"""Refresh on the request path: whoever's check comes first after its time asks the provider again
who this is, and everybody else goes on with the session as it is.

A refusal ends the session; an outage does not. New tokens are kept before anything is done with
them, so that a rotated refresh token is never lost to what follows.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.errors import LoginRefused, ProviderUnavailable, StoreUnavailable
from authz_sidecar.login.providers import RefreshRefused
from authz_sidecar.sessions.records import ProviderTokens, RefreshVault
from authz_sidecar.sessions.refresh_vault import LEASE_SECONDS, RefreshLease, refresh_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import Session
    from authz_sidecar.login.providers import OIDCClient, TokenResponse
    from authz_sidecar.sessions.service import SessionService

_log = logging.getLogger(__name__)


class SessionFinder(Protocol):
    async def find(self, token: str, *, scope: str, provider: str) -> Session | None: ...


class RefreshingSessionFinder:
    """Finds sessions as `finder` does, and refreshes those whose time has come."""

    def __init__(
        self,
        finder: SessionFinder,
        *,
        sessions: SessionService,
        providers: Mapping[str, OIDCClient],
        clock: Callable[[], float],
    ) -> None:
        self._finder = finder
        self._sessions = sessions
        self._providers = providers
        self._clock = clock

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        session = await self._finder.find(token, scope=scope, provider=provider)
        if session is None or not session.needs_refresh(self._clock()):
            return session
        try:
            return await self._refreshed(token, session)
        except StoreUnavailable as error:
            _log.warning("refresh of session `%s` put off: %s", session.public_id, error)
            return session

    async def _refreshed(self, token: str, session: Session) -> Session | None:
        claim = await self._sessions.refresh.acquire(token, session, now=self._clock())
        if not isinstance(claim, RefreshLease):
            return claim
        provider = self._providers.get(session.identity.provider)
        if provider is None:
            return session
        try:
            renewed = await self._renewed(claim, provider)
        except ProviderUnavailable as error:
            _log.warning("refresh of session `%s` put off: %s", claim.root_id, error)
            return session
        except LoginRefused as error:
            _log.info("session `%s` ends: %s", claim.root_id, error)
            await self._sessions.end(session.root_session)
            return None
        if not renewed:
            return await self._finder.find(
                token, scope=session.scope, provider=session.identity.provider
            )
        _log.info("refreshed session `%s`", claim.root_id)
        await self._sessions.refresh.acquire(token, session, now=self._clock())
        # From the store, with its watermarks: somebody may have signed out while the provider was
        # asked, even if a failover has lost what they deleted.
        return await self._sessions.find(
            token, scope=session.scope, provider=session.identity.provider
        )

    async def _renewed(self, claim: RefreshLease, provider: OIDCClient) -> bool:
        """Whether the vault holds what the provider says now."""
        now, old = self._clock(), claim.vault
        if old.tokens.refresh_token is None:
            raise RefreshRefused("there is no refresh token left")
        given = await provider.refresh(old.tokens.refresh_token)
        tokens = _kept(given, old.tokens, now=now)
        # Its time has not come yet for others, nor has it passed: whoever reads on meanwhile, or
        # after us if we die here, begins where we are.
        kept = await self._sessions.refresh.commit(claim, replace(old, tokens=tokens))
        if kept is None:
            return False
        identity = await provider.refreshed_identity(given, before=old.identity)
        expires_at = tokens.expires_at or now + LEASE_SECONDS * 4
        vault = RefreshVault(
            tokens=tokens, identity=identity, refresh_at=refresh_time(expires_at, now=now)
        )
        return await self._sessions.refresh.commit(kept, vault) is not None


def _kept(given: TokenResponse, old: ProviderTokens, *, now: float) -> ProviderTokens:
    return ProviderTokens(
        id_token=given.id_token or old.id_token,
        access_token=given.access_token,
        # RFC 6749 section 6: without a new one the old one stays good.
        refresh_token=given.refresh_token or old.refresh_token,
        expires_at=None if given.expires_in is None else now + given.expires_in,
    )
