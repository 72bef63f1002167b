"""Token refresh during checks: the first check of a session that is due refreshes it at the
provider; concurrent checks use the session as it is.

A refusal by the provider ends the session, an outage does not. New tokens are stored before
anything else happens, so that a rotated refresh token is never lost.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.errors import LoginRefused, ProviderUnavailable, StoreUnavailable
from authz_sidecar.login.providers import RefreshRefused
from authz_sidecar.sessions.records import ProviderTokens, RefreshVault
from authz_sidecar.sessions.refresh_vault import LEASE_SECONDS, RefreshLease, refresh_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import Session
    from authz_sidecar.login.interfaces import SessionFinder
    from authz_sidecar.login.providers import OIDCClient, TokenResponse
    from authz_sidecar.sessions.service import SessionService

_log = logging.getLogger(__name__)


class RefreshingSessionFinder:
    """Finds sessions as `finder` does, and refreshes those that are due."""

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
        """Return the valid session, refreshed if it is due; None when there is none or the provider
        has ended it."""
        session = await self._finder.find(token, scope=scope, provider=provider)
        if session is None or not session.needs_refresh(self._clock()):
            return session
        try:
            return await self._refresh(token, session)
        except StoreUnavailable as error:
            _log.warning("refresh of session `%s` put off: %s", session.public_id, error)
            return session

    async def _refresh(self, token: str, session: Session) -> Session | None:
        lease = await self._sessions.refresh.acquire(token, session, now=self._clock())
        if not isinstance(lease, RefreshLease):
            return lease
        provider = self._providers.get(session.identity.provider)
        if provider is None:
            return session
        try:
            was_stored = await self._renew(lease, provider)
        except ProviderUnavailable as error:
            _log.warning("refresh of session `%s` put off: %s", lease.root_id, error)
            return session
        except LoginRefused as error:
            _log.info("session `%s` ends: %s", lease.root_id, error)
            await self._sessions.end(session.root_session)
            return None
        if not was_stored:
            return await self._finder.find(
                token, scope=session.scope, provider=session.identity.provider
            )
        _log.info("refreshed session `%s`", lease.root_id)
        await self._sessions.refresh.acquire(token, session, now=self._clock())
        # From the store, with its watermarks: the user may have logged out during the refresh, even
        # if a failover has lost the deletion.
        return await self._sessions.find(
            token, scope=session.scope, provider=session.identity.provider
        )

    async def _renew(self, lease: RefreshLease, provider: OIDCClient) -> bool:
        """Refresh tokens and identity. Returns whether they were stored; otherwise another instance
        did it."""
        now, vault_before = self._clock(), lease.vault
        if vault_before.tokens.refresh_token is None:
            raise RefreshRefused("there is no refresh token left")
        response = await provider.refresh(vault_before.tokens.refresh_token)
        tokens = _merge_tokens(response, vault_before.tokens, now=now)
        # The refresh stays due (`refresh_at` is unchanged): if this instance fails here, another one
        # continues from these tokens once the lease has ended.
        next_lease = await self._sessions.refresh.commit(
            lease, replace(vault_before, tokens=tokens)
        )
        if next_lease is None:
            return False
        identity = await provider.refreshed_identity(response, before=vault_before.identity)
        expires_at = tokens.expires_at or now + LEASE_SECONDS * 4
        vault = RefreshVault(
            tokens=tokens, identity=identity, refresh_at=refresh_time(expires_at, now=now)
        )
        return await self._sessions.refresh.commit(next_lease, vault) is not None


def _merge_tokens(response: TokenResponse, old: ProviderTokens, *, now: float) -> ProviderTokens:
    return ProviderTokens(
        id_token=response.id_token or old.id_token,
        access_token=response.access_token,
        # RFC 6749 section 6: without a new refresh token the old one stays valid.
        refresh_token=response.refresh_token or old.refresh_token,
        expires_at=None if response.expires_in is None else now + response.expires_in,
    )
