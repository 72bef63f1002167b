"""Programmatic sign-in, the browser's half: a command-line tool opens the browser here, the person
signs in as usual, is asked, and is sent back to the tool with a code.

The tool is a public client on this person's machine (RFC 8252): it is reached by a loop-back address
and nothing else, proves by PKCE that it is the one that asked, and gets nothing without a click.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from authz_sidecar.core.browser_headers import OPENER_POLICY
from authz_sidecar.errors import LoginRefused
from authz_sidecar.login.csrf import CsrfProtection
from authz_sidecar.login.http import BadRequest, LoginResponse, redirect, single_parameter

if TYPE_CHECKING:
    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.http import LoginRequest, Pairs

_log = logging.getLogger(__name__)

PATH = "api/login"
CODE_SECONDS = 60.0
CODE_PURPOSE = "tool code"
"""What the ticket behind a code is for, so that no other ticket passes for one."""

# RFC 8252 section 7.3: the loop-back address itself and any port. `localhost` is a name, and what
# it resolves to is not ours to know (section 8.3).
_REDIRECT = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\]):(?P<port>[1-9][0-9]{0,4})"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,200})?"
)
# RFC 7636 section 4.2: 32 bytes in base64url. "plain" shows the secret to whoever sees the address.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STATE = re.compile(r"[\x21-\x7e]{1,512}")

_NO_TOOL = (
    "The address that a command-line tool opened is not one that this service can answer. Update the"
    " tool, or tell whoever made it."
)
_NOT_HERE = "This site does not take command-line tools."


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeAppRequest:
    """What a tool asks for. Its redirect address is only ever used as it was given."""

    redirect_uri: str
    challenge: str
    state: str | None

    def response_url(self, **parameters: str) -> str:
        """The address that takes the answer to the tool (RFC 6749, 4.1.2 and 4.1.2.1)."""
        given = parameters | ({} if self.state is None else {"state": self.state})
        return f"{self.redirect_uri}?{urlencode(given)}"


def parse_native_app_request(pairs: Pairs) -> NativeAppRequest:
    """Raises `BadRequest`; nobody is sent anywhere by what cannot be read."""
    redirect_uri, challenge = (
        single_parameter(pairs, "redirect_uri"),
        single_parameter(pairs, "code_challenge"),
    )
    state = single_parameter(pairs, "state")
    read = _REDIRECT.fullmatch(redirect_uri or "")
    if redirect_uri is None or read is None or int(read["port"]) > 65535:
        raise BadRequest("redirect_uri is not a loop-back address", public_message=_NO_TOOL)
    if single_parameter(pairs, "code_challenge_method") != "S256":
        raise BadRequest("code_challenge_method is not S256", public_message=_NO_TOOL)
    if challenge is None or not _CHALLENGE.fullmatch(challenge):
        raise BadRequest("unusable code_challenge", public_message=_NO_TOOL)
    if state is not None and not _STATE.fullmatch(state):
        raise BadRequest("unusable state", public_message=_NO_TOOL)
    if single_parameter(pairs, "response_type") not in {None, "code"}:
        raise BadRequest("response_type is not code", public_message=_NO_TOOL)
    return NativeAppRequest(redirect_uri=redirect_uri, challenge=challenge, state=state)


class NativeAppLogin:
    def __init__(self, context: LoginContext) -> None:
        self._context = context
        self._form = CsrfProtection(context=context, purpose="tool form")

    async def respond(self, request: LoginRequest) -> LoginResponse:
        if request.method == "POST":
            return await self._answer(request)
        return await self._ask(request)

    async def _ask(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        tool = parse_native_app_request(request.query)
        _check_navigation(request)
        found = await self._found(request)
        if found is None:
            query = urlencode(request.query)
            back = f"{request.origin}{context.base_path}/{PATH}?{query}"
            return redirect(context.url(request.origin, "start", rd=back))
        html = context.pages.allow_tool(
            identity=found.session.identity,
            site=request.origin.authority,
            tool=tool.redirect_uri,
            ends_at=found.session.expires_at,
            action_url=f"{context.base_path}/{PATH}",
            csrf=self._form.token(request, found),
            fields=(
                ("redirect_uri", tool.redirect_uri),
                ("code_challenge", tool.challenge),
                ("code_challenge_method", "S256"),
                *((("state", tool.state),) if tool.state is not None else ()),
            ),
        )
        return context.page(html)

    async def _answer(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        self._form.check_origin(request)
        _check_navigation(request)
        tool = parse_native_app_request(request.form)
        found = await self._found(request)
        if found is None:
            raise BadRequest("a tool is allowed by nobody who is signed in")
        self._form.check_token(request, (found,))
        if single_parameter(request.form, "allow") != "1":
            return self._back(tool.response_url(error="access_denied"))
        identity = found.session.identity
        await context.admit_account(identity, endpoint="api/login")
        code = await context.sessions.one_time.issue_ticket(
            json.dumps(
                {
                    "for": CODE_PURPOSE,
                    "origin": str(request.origin),
                    "flow": "",
                    "provider": identity.provider,
                    "token": found.token,
                    "challenge": tool.challenge,
                    "redirect_uri": tool.redirect_uri,
                }
            ).encode(),
            ttl=CODE_SECONDS,
        )
        _log.info(
            "a tool was allowed on `%s`: session `%s`", request.origin, found.session.public_id
        )
        return self._back(tool.response_url(code=code))

    async def _found(self, request: LoginRequest) -> ActiveSession | None:
        """Whoever is signed in here with a provider that tools of this host may come from."""
        context = self._context
        routes = context.routes.for_host(request.origin)
        names = dict.fromkeys(
            name for route in routes if route.command_line_tools for name in route.providers
        )
        providers = tuple(name for name in names if name in context.providers)
        if not providers:
            raise LoginRefused(
                f"no route of `{request.origin}` takes tools", public_message=_NOT_HERE
            )
        found = await context.active_session(request, providers)
        if found is None:
            here = context.url(request.origin, PATH)
            if not set(providers) & set(context.providers_for(here)):
                raise LoginRefused(
                    f"sign-in at `{here}` leads to no provider of a route that takes tools",
                    public_message=_NOT_HERE,
                )
        return found

    def _back(self, url: str) -> LoginResponse:
        """By a page, since a redirect after a form may only stay with us. The page is a stranger to
        all other pages of this host, so that none of them can read the code off it."""
        context = self._context
        policy = dict(context.pages.headers())["content-security-policy"]
        reply = context.page(context.pages.continue_to(url=url))
        reply = reply.with_header("content-security-policy", f"{policy}; sandbox allow-scripts")
        # HTML, "Navigation": with an opener policy, a sandboxed document is a network error.
        return reply.with_header(OPENER_POLICY, "unsafe-none")


def _check_navigation(request: LoginRequest) -> None:
    """A script of this host could read a form, and the answer to it, if it could fetch them."""
    if request.header("sec-fetch-mode") not in {None, "navigate"}:
        raise BadRequest("a tool's sign-in that is no navigation")
