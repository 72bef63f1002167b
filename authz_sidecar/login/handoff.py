"""From the central host to the host that asked: a ticket, good once, for one minute, for one host
and for the browser that began there.

The ticket names the sign-in, not the user; the child session is made on the host that redeems it,
if the sign-in is still alive then.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import AttemptLost, AuthzError
from authz_sidecar.login.error_pages import Interrupted, trouble_page
from authz_sidecar.login.http import BadRequest, LoginReply, one, redirect
from authz_sidecar.sessions.records import ProviderTokens

if TYPE_CHECKING:
    from authz_sidecar.login.completion import Landing
    from authz_sidecar.login.context import Desk, Found
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.transactions import Attempt

TICKET_SECONDS = 60
_TICKET = re.compile(r"[A-Za-z0-9_-]{16,128}")


class HandOver:
    def __init__(self, desk: Desk, landing: Landing) -> None:
        self._desk = desk
        self._landing = landing

    async def send_ticket(self, found: Found, *, return_to: str, flow: str) -> LoginReply:
        """On the central host: send the browser on, with a ticket for the host it came from."""
        desk = self._desk
        target, _ = parse_url(return_to)
        payload = json.dumps(
            {
                "origin": str(target),
                "flow": flow,
                "provider": found.session.identity.provider,
                "token": found.token,
            }
        )
        ticket = await desk.sessions.notes.put_ticket(payload.encode(), ttl=TICKET_SECONDS)
        return redirect(desk.url(target, "handover", ticket=ticket))

    async def handover(self, request: LoginRequest) -> LoginReply:
        """On the host that asked: the ticket becomes a session of its own."""
        desk = self._desk
        ticket = one(request.query, "ticket")
        if ticket is None or not _TICKET.fullmatch(ticket):
            raise BadRequest("hand-over without a usable ticket")
        waiting = desk.attempts.awaiting_tickets(
            request.cookies, origin=request.origin, now=desk.clock()
        )
        if not waiting:
            # Whoever brings a ticket without having begun here is not the one it was made for,
            # and may not use it up either.
            return await self._landing.lost(request, AttemptLost("no sign-in was begun here"))
        payload = await desk.sessions.notes.take_ticket(ticket)
        if payload is None:
            return await self._landing.lost(
                request, AttemptLost("ticket is unknown, used or too old"), attempt=waiting[0]
            )
        fields = json.loads(payload)
        attempt = _begun_here(waiting, fields["flow"])
        if attempt is None or fields["origin"] != str(request.origin):
            raise Interrupted(
                AttemptLost("ticket was made for another browser or host"),
                retry=desk.start_url(desk.home(request.origin)),
            )
        try:
            reply = await self._redeem(request, attempt, fields)
        except AuthzError as error:
            reply = trouble_page(
                Interrupted(error, retry=desk.again(attempt, here=request.origin)),
                desk.pages,
                request_id=request.request_id,
            )
        return reply.with_cookies(
            desk.attempts.clear(attempt, origin=request.origin, cross_site=False)
        )

    async def _redeem(
        self, request: LoginRequest, attempt: Attempt, fields: dict[str, str]
    ) -> LoginReply:
        desk, central = self._desk, self._desk.auth_host
        if central is None:
            raise AttemptLost("the central host is no longer configured")
        parent = await desk.sessions.find(
            fields["token"],
            scope=desk.cookies.scope_for(central),
            provider=fields["provider"],
        )
        if parent is None:
            raise AttemptLost("the sign-in ended before its ticket was used")
        # A copy of the ID token, so that this host too can sign out at the provider.
        tokens = await desk.sessions.tokens(fields["token"])
        kept = None if tokens is None else ProviderTokens(id_token=tokens.id_token)
        found = await self._landing.new_session(
            request,
            attempt,
            identity=parent.identity,
            tokens=kept,
            parent=parent,
            parent_token=fields["token"],
        )
        return self._landing.land(request, attempt, found)


def _begun_here(waiting: tuple[Attempt, ...], flow: str) -> Attempt | None:
    for attempt in waiting:
        if hmac.compare_digest(attempt.flow_hash, flow):
            return attempt
    return None
