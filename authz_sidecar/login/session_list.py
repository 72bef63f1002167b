"""The list of the user's sessions, and the form that ends one or all of them.

Each login is one line, with the hosts that were opened with it. Where there is a central host, the
list is on that host only.

Device names come from the User-Agent header. They are only displayed, because a client can send any
text.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.types import SessionKind
from authz_sidecar.login.csrf import CsrfProtection
from authz_sidecar.login.http import BadRequest, LoginResponse, redirect, single_parameter
from authz_sidecar.login.interfaces import SessionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.sessions.records import SessionSummary

_log = logging.getLogger(__name__)

# The first match counts: nearly all browsers name several others as well.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "a Mac"),
    ("Linux", "Linux"),
)
_PRODUCT = re.compile(r"[A-Za-z][\w.-]{0,30}")


class SessionList:
    """The endpoints `sessions` and `sessions/revoke`."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context
        self._form = CsrfProtection(context=context, purpose="sessions form")

    async def page(self, request: LoginRequest) -> LoginResponse:
        """Return the list, a redirect to the central host, or a 401 page with a link to log in."""
        context = self._context
        if context.auth_host is not None and request.origin != context.auth_host:
            return redirect(context.url(context.auth_host, "sessions"))
        sessions = await context.active_sessions(request)
        if not sessions:
            return context.not_signed_in_page(request, return_path="sessions")
        rows = [
            row
            for active in sessions
            for row in _rows(
                active,
                await self._summaries(active),
                label=context.providers[active.session.identity.provider].label,
            )
        ]
        html = context.pages.sessions(
            identity=sessions[0].session.identity,
            lines=tuple(rows),
            action_url=f"{context.base_path}/sessions/revoke",
            csrf=self._form.token(request, sessions[0]),
        )
        return context.page(html)

    async def revoke(self, request: LoginRequest) -> LoginResponse:
        """End the sessions that the form names. Raises `BadRequest` for a form without a valid CSRF
        token, or on another host than the central one."""
        context = self._context
        if context.uses_central_host(request.origin):
            raise BadRequest("sessions are ended on the central host")
        self._form.check_origin(request)
        sessions = await context.active_sessions(request)
        if not sessions:
            return redirect(context.url(request.origin, "sessions"))
        self._form.check_token(request, sessions)
        ended = await self._end(request, sessions)
        cookies = (
            context.cookies.clear_cookie(
                context.cookies.name_for(active.session.identity.provider, request.origin),
                origin=request.origin,
            )
            for active in ended
        )
        next_page = "signed_out" if len(ended) == len(sessions) else "sessions"
        return redirect(context.url(request.origin, next_page)).with_cookies(*cookies)

    async def _end(
        self, request: LoginRequest, sessions: tuple[ActiveSession, ...]
    ) -> tuple[ActiveSession, ...]:
        """End the sessions that the form names. Returns those that are sessions of this browser."""
        context = self._context
        if single_parameter(request.form, "all") == "1":
            for active in sessions:
                identity = active.session.identity
                count = await context.sessions.end_user(
                    provider=identity.provider, issuer=identity.issuer, subject=identity.subject
                )
                _log.info("signed out everywhere: %d sessions of `%s`", count, identity.provider)
            return sessions
        handle = single_parameter(request.form, "session")
        for active in sessions:
            for summary in await self._summaries(active):
                # Only sessions of this user: the public id alone gives no right to end one.
                if summary.handle == handle:
                    await context.sessions.end_listed(summary)
                    _log.info("session `%s` was ended by its user", handle)
        return tuple(active for active in sessions if active.session.public_id == handle)

    async def _summaries(self, active: ActiveSession) -> tuple[SessionSummary, ...]:
        identity = active.session.identity
        return await self._context.sessions.list_for_user(
            provider=identity.provider, issuer=identity.issuer, subject=identity.subject
        )


def _rows(
    active: ActiveSession, summaries: Sequence[SessionSummary], *, label: str
) -> Iterable[SessionRow]:
    for summary in summaries:
        if summary.kind is SessionKind.CHILD:
            continue
        children = (
            child.scope
            for child in summaries
            if child.parent == summary.handle and child.kind is SessionKind.CHILD
        )
        yield SessionRow(
            handle=summary.handle,
            provider=label,
            device=_device(summary),
            address=summary.client,
            signed_in_at=summary.created_at,
            last_used_at=summary.last_used_at,
            sites=tuple(map(_site, sorted({summary.scope, *children}))),
            current=summary.handle == active.session.public_id,
        )


def _device(summary: SessionSummary) -> str:
    if summary.kind is SessionKind.TOOL:
        product = product_name(summary.user_agent)
        return "Command-line tool" if product is None else f"Command-line tool ({product})"
    return describe_device(summary.user_agent)


def _site(scope: str) -> str:
    """Return the host in an origin or cookie domain."""
    return scope.partition("://")[2].removeprefix(".") or scope.removeprefix(".")


def describe_device(user_agent: str) -> str:
    """Return browser and system as the user knows them, such as `Firefox on Windows`."""
    browser = next((name for token, name in _BROWSERS if token in user_agent), None)
    system = next((name for token, name in _SYSTEMS if token in user_agent), None)
    if browser is None:
        product = product_name(user_agent)
        browser = product if product and product != "Mozilla" else "Unknown browser"
    return browser if system is None else f"{browser} on {system}"


def product_name(user_agent: str) -> str | None:
    """Return the product name at the beginning of a User-Agent header, or None."""
    product = _PRODUCT.match(user_agent)
    return None if product is None else product[0]
