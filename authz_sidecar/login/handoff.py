"""Session handoff from the central host to another host, by a ticket: valid once, for one minute,
for one host and for the browser that began there.

The ticket names the login, not the user. The host that redeems it creates a child session, if the
login is still active.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import AuthzError, TransactionLost
from authz_sidecar.login.error_pages import LoginError, error_page
from authz_sidecar.login.http import BadRequest, LoginResponse, redirect, single_parameter
from authz_sidecar.sessions.records import ProviderTokens

if TYPE_CHECKING:
    from authz_sidecar.login.completion import LoginCompletion
    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.transactions import LoginTransaction

TICKET_SECONDS = 60
_TICKET = re.compile(r"[A-Za-z0-9_-]{16,128}")


class SessionHandoff:
    """Issues tickets on the central host and redeems them on the other hosts."""

    def __init__(self, context: LoginContext, completion: LoginCompletion) -> None:
        self._context = context
        self._completion = completion

    async def send_ticket(
        self, active: ActiveSession, *, return_to: str, flow: str
    ) -> LoginResponse:
        """Redirect from the central host to the host of `return_to`, with a ticket for it.

        `flow`: the `flow_hash` of the transaction that waits there.
        """
        context = self._context
        target, _ = parse_url(return_to)
        payload = json.dumps(
            {
                "origin": str(target),
                "flow": flow,
                "provider": active.session.identity.provider,
                "token": active.token,
            }
        )
        ticket = await context.sessions.one_time.issue_ticket(payload.encode(), ttl=TICKET_SECONDS)
        return redirect(context.url(target, "handover", ticket=ticket))

    async def redeem_ticket(self, request: LoginRequest) -> LoginResponse:
        """Redeem a ticket for a session on this host, and return to where the login began.

        Raises `BadRequest` for a malformed ticket, and `LoginError` or `TransactionLost` for one
        that is unknown, used, expired or made for another browser or host.
        """
        context = self._context
        ticket = single_parameter(request.query, "ticket")
        if ticket is None or not _TICKET.fullmatch(ticket):
            raise BadRequest("hand-over without a usable ticket")
        waiting = context.transactions.awaiting_handoff(
            request.cookies, origin=request.origin, now=context.clock()
        )
        if not waiting:
            # A browser without a waiting transaction is not the one that the ticket was made for,
            # and must not use it up either.
            return await self._completion.transaction_lost(
                request, TransactionLost("no sign-in was begun here")
            )
        payload = await context.sessions.one_time.redeem_ticket(ticket)
        if payload is None:
            return await self._completion.transaction_lost(
                request,
                TransactionLost("ticket is unknown, used or too old"),
                transaction=waiting[0],
            )
        fields = json.loads(payload)
        transaction = _transaction_with(waiting, fields["flow"])
        if transaction is None or fields["origin"] != str(request.origin):
            raise LoginError(
                TransactionLost("ticket was made for another browser or host"),
                retry=context.start_url(context.default_url(request.origin)),
            )
        try:
            response = await self._redeem(request, transaction, fields)
        except AuthzError as error:
            response = error_page(
                LoginError(error, retry=context.restart_url(transaction, here=request.origin)),
                context.pages,
                request_id=request.request_id,
            )
        return response.with_cookies(
            context.transactions.clear(transaction, origin=request.origin, cross_site=False)
        )

    async def _redeem(
        self, request: LoginRequest, transaction: LoginTransaction, fields: dict[str, str]
    ) -> LoginResponse:
        context, central = self._context, self._context.auth_host
        if central is None:
            raise TransactionLost("the central host is no longer configured")
        parent = await context.sessions.find(
            fields["token"],
            scope=context.cookies.scope_for(central),
            provider=fields["provider"],
        )
        if parent is None:
            raise TransactionLost("the sign-in ended before its ticket was used")
        # A copy of the ID token, so that this host too can sign out at the provider.
        tokens = await context.sessions.provider_tokens(fields["token"])
        child_tokens = None if tokens is None else ProviderTokens(id_token=tokens.id_token)
        active = await self._completion.create_session(
            request,
            transaction,
            identity=parent.identity,
            tokens=child_tokens,
            parent=parent,
            parent_token=fields["token"],
        )
        return self._completion.complete(request, transaction, active)


def _transaction_with(waiting: tuple[LoginTransaction, ...], flow: str) -> LoginTransaction | None:
    for transaction in waiting:
        if hmac.compare_digest(transaction.flow_hash, flow):
            return transaction
    return None
