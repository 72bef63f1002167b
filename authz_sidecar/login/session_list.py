"""My sessions: where I am signed in, and the forms that end one of them or all.

Each sign-in is one line, with the sites that were opened with it. On the central host alone, where
there is one: what is shown there belongs to no app.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.types import SessionKind
from authz_sidecar.login.csrf import Forms
from authz_sidecar.login.http import BadRequest, LoginReply, one, redirect
from authz_sidecar.login.interfaces import SessionLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz_sidecar.login.context import Desk, Found
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


def device(user_agent: str) -> str:
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is None:
        product = product_of(user_agent)
        browser = product if product and product != "Mozilla" else "Unknown browser"
    return browser if system is None else f"{browser} on {system}"


def product_of(user_agent: str) -> str | None:
    """The name that a program calls itself by."""
    product = _PRODUCT.match(user_agent)
    return None if product is None else product[0]


_log = logging.getLogger(__name__)


class MySessions:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._form = Forms(desk=desk, purpose="sessions form")

    async def page(self, request: LoginRequest) -> LoginReply:
        desk = self._desk
        if desk.auth_host is not None and request.origin != desk.auth_host:
            return redirect(desk.url(desk.auth_host, "sessions"))
        found = await desk.all_living(request)
        if not found:
            return desk.stranger(request, back="sessions")
        lines = [
            line
            for each in found
            for line in _lines(
                each,
                await self._summaries(each),
                label=desk.providers[each.session.identity.provider].label,
            )
        ]
        html = desk.pages.sessions(
            identity=found[0].session.identity,
            lines=tuple(lines),
            action_url=f"{desk.base_path}/sessions/revoke",
            csrf=self._form.token(request, found[0]),
        )
        return desk.page(html)

    async def revoke(self, request: LoginRequest) -> LoginReply:
        desk = self._desk
        if desk.signs_in_elsewhere(request.origin):
            raise BadRequest("sessions are ended on the central host")
        self._form.check_origin(request)
        found = await desk.all_living(request)
        if not found:
            return redirect(desk.url(request.origin, "sessions"))
        self._form.check_token(request, found)
        gone = await self._end(request, found)
        cookies = (
            desk.cookies.clear(
                desk.cookies.name_for(each.session.identity.provider, request.origin),
                origin=request.origin,
            )
            for each in gone
        )
        left = "signed_out" if len(gone) == len(found) else "sessions"
        return redirect(desk.url(request.origin, left)).with_cookies(*cookies)

    async def _end(self, request: LoginRequest, found: tuple[Found, ...]) -> tuple[Found, ...]:
        """End what the form asks for; which of this browser's own sessions went with it."""
        desk = self._desk
        if one(request.form, "all") == "1":
            for each in found:
                who = each.session.identity
                count = await desk.sessions.end_user(
                    provider=who.provider, issuer=who.issuer, subject=who.subject
                )
                _log.info("signed out everywhere: %d sessions of `%s`", count, who.provider)
            return found
        handle = one(request.form, "session")
        for each in found:
            for summary in await self._summaries(each):
                # Only what is listed as theirs: a handle alone is no right to anything.
                if summary.handle == handle:
                    await desk.sessions.end_listed(summary)
                    _log.info("session `%s` was ended by its user", handle)
        return tuple(each for each in found if each.session.handle == handle)

    async def _summaries(self, found: Found) -> tuple[SessionSummary, ...]:
        who = found.session.identity
        return await self._desk.sessions.of_user(
            provider=who.provider, issuer=who.issuer, subject=who.subject
        )


def _lines(
    found: Found, summaries: Sequence[SessionSummary], *, label: str
) -> Iterable[SessionLine]:
    for summary in summaries:
        if summary.kind is SessionKind.CHILD:
            continue
        children = (
            each.scope
            for each in summaries
            if each.parent == summary.handle and each.kind is SessionKind.CHILD
        )
        yield SessionLine(
            handle=summary.handle,
            provider=label,
            device=_device(summary),
            address=summary.client,
            signed_in_at=summary.created_at,
            last_used_at=summary.last_used_at,
            sites=tuple(map(_site, sorted({summary.scope, *children}))),
            current=summary.handle == found.session.handle,
        )


def _device(summary: SessionSummary) -> str:
    if summary.kind is SessionKind.TOOL:
        product = product_of(summary.user_agent)
        return "Command-line tool" if product is None else f"Command-line tool ({product})"
    return device(summary.user_agent)


def _site(scope: str) -> str:
    """An origin, or the domain that shares a cookie, as people know it."""
    return scope.partition("://")[2].removeprefix(".") or scope.removeprefix(".")
