"""My sessions: where I am signed in, and the forms that end one of them or all.

Each sign-in is one line, with the sites that were opened with it. On the central host alone, where
there is one: what is shown there belongs to no app.
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

# The first that is found counts: nearly all of them claim to be several others as well.
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


def describe_device(user_agent: str) -> str:
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is None:
        product = product_name(user_agent)
        browser = product if product and product != "Mozilla" else "Unknown browser"
    return browser if system is None else f"{browser} on {system}"


def product_name(user_agent: str) -> str | None:
    """The name that a program calls itself by."""
    product = _PRODUCT.match(user_agent)
    return None if product is None else product[0]


_log = logging.getLogger(__name__)


class SessionList:
    def __init__(self, context: LoginContext) -> None:
        self._context = context
        self._form = CsrfProtection(context=context, purpose="sessions form")

    async def page(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        if context.auth_host is not None and request.origin != context.auth_host:
            return redirect(context.url(context.auth_host, "sessions"))
        found = await context.active_sessions(request)
        if not found:
            return context.not_signed_in_page(request, return_path="sessions")
        lines = [
            line
            for each in found
            for line in _rows(
                each,
                await self._summaries(each),
                label=context.providers[each.session.identity.provider].label,
            )
        ]
        html = context.pages.sessions(
            identity=found[0].session.identity,
            lines=tuple(lines),
            action_url=f"{context.base_path}/sessions/revoke",
            csrf=self._form.token(request, found[0]),
        )
        return context.page(html)

    async def revoke(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        if context.uses_central_host(request.origin):
            raise BadRequest("sessions are ended on the central host")
        self._form.check_origin(request)
        found = await context.active_sessions(request)
        if not found:
            return redirect(context.url(request.origin, "sessions"))
        self._form.check_token(request, found)
        gone = await self._end(request, found)
        cookies = (
            context.cookies.clear_cookie(
                context.cookies.name_for(each.session.identity.provider, request.origin),
                origin=request.origin,
            )
            for each in gone
        )
        left = "signed_out" if len(gone) == len(found) else "sessions"
        return redirect(context.url(request.origin, left)).with_cookies(*cookies)

    async def _end(
        self, request: LoginRequest, found: tuple[ActiveSession, ...]
    ) -> tuple[ActiveSession, ...]:
        """End what the form asks for; which of this browser's own sessions went with it."""
        context = self._context
        if single_parameter(request.form, "all") == "1":
            for each in found:
                who = each.session.identity
                count = await context.sessions.end_user(
                    provider=who.provider, issuer=who.issuer, subject=who.subject
                )
                _log.info("signed out everywhere: %d sessions of `%s`", count, who.provider)
            return found
        handle = single_parameter(request.form, "session")
        for each in found:
            for summary in await self._summaries(each):
                # Only what is listed as theirs: a handle alone is no right to anything.
                if summary.handle == handle:
                    await context.sessions.end_listed(summary)
                    _log.info("session `%s` was ended by its user", handle)
        return tuple(each for each in found if each.session.public_id == handle)

    async def _summaries(self, found: ActiveSession) -> tuple[SessionSummary, ...]:
        who = found.session.identity
        return await self._context.sessions.list_for_user(
            provider=who.provider, issuer=who.issuer, subject=who.subject
        )


def _rows(
    found: ActiveSession, summaries: Sequence[SessionSummary], *, label: str
) -> Iterable[SessionRow]:
    for summary in summaries:
        if summary.kind is SessionKind.CHILD:
            continue
        children = (
            each.scope
            for each in summaries
            if each.parent == summary.handle and each.kind is SessionKind.CHILD
        )
        yield SessionRow(
            handle=summary.handle,
            provider=label,
            device=_device(summary),
            address=summary.client,
            signed_in_at=summary.created_at,
            last_used_at=summary.last_used_at,
            sites=tuple(map(_site, sorted({summary.scope, *children}))),
            current=summary.handle == found.session.public_id,
        )


def _device(summary: SessionSummary) -> str:
    if summary.kind is SessionKind.TOOL:
        product = product_name(summary.user_agent)
        return "Command-line tool" if product is None else f"Command-line tool ({product})"
    return describe_device(summary.user_agent)


def _site(scope: str) -> str:
    """An origin, or the domain that shares a cookie, as people know it."""
    return scope.partition("://")[2].removeprefix(".") or scope.removeprefix(".")
