"""Login of command-line tools, in the browser: the tool opens this page, the user logs in and
consents, and is redirected to the tool with a code.

The tool is a native app on the user's machine (RFC 8252) and a public client: its redirect URI is a
loopback address, it uses PKCE, and it gets nothing without the user's click.
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
"""Marks the ticket behind a code, so that another ticket cannot be used as one."""

# RFC 8252 section 7.3: a loopback IP address with any port. `localhost` is a name that could
# resolve to another address (section 8.3).
_REDIRECT = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\]):(?P<port>[1-9][0-9]{0,4})"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,200})?"
)
# RFC 7636 section 4.2: 32 bytes in base64url. "plain" would expose the verifier in the URL.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STATE = re.compile(r"[\x21-\x7e]{1,512}")

_NO_TOOL = (
    "The address that a command-line tool opened is not one that this service can answer. Update the"
    " tool, or report this to its developer."
)
_NOT_HERE = "This site does not take command-line tools."


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeAppRequest:
    """The authorization request of a tool.

    `challenge`: the PKCE code challenge, by S256.
    """

    redirect_uri: str
    challenge: str
    state: str | None

    def response_url(self, **parameters: str) -> str:
        """Return the URL that carries the response to the tool (RFC 6749, sections 4.1.2 and
        4.1.2.1)."""
        all_parameters = parameters | ({} if self.state is None else {"state": self.state})
        return f"{self.redirect_uri}?{urlencode(all_parameters)}"


def parse_native_app_request(pairs: Pairs) -> NativeAppRequest:
    """Return the tool's request. Raises `BadRequest` when a parameter is not valid; then nothing is
    sent to its redirect URI."""
    redirect_uri, challenge = (
        single_parameter(pairs, "redirect_uri"),
        single_parameter(pairs, "code_challenge"),
    )
    state = single_parameter(pairs, "state")
    match = _REDIRECT.fullmatch(redirect_uri or "")
    if redirect_uri is None or match is None or int(match["port"]) > 65535:
        raise BadRequest("redirect_uri is not a loopback address", public_message=_NO_TOOL)
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
    """The endpoint `api/login`."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context
        self._form = CsrfProtection(context=context, purpose="tool form")

    async def respond(self, request: LoginRequest) -> LoginResponse:
        """Show the consent page, or redirect to the tool with the user's decision.

        Raises `BadRequest` for a malformed request, `LoginRefused` where no route takes tools, and
        `RateLimited`.
        """
        if request.method == "POST":
            return await self._decide(request)
        return await self._consent_page(request)

    async def _consent_page(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        tool = parse_native_app_request(request.query)
        _check_navigation(request)
        active = await self._active_session(request)
        if active is None:
            query = urlencode(request.query)
            return_to = f"{request.origin}{context.base_path}/{PATH}?{query}"
            return redirect(context.url(request.origin, "start", rd=return_to))
        html = context.pages.allow_tool(
            identity=active.session.identity,
            site=request.origin.authority,
            tool=tool.redirect_uri,
            ends_at=active.session.expires_at,
            action_url=f"{context.base_path}/{PATH}",
            csrf=self._form.token(request, active),
            fields=(
                ("redirect_uri", tool.redirect_uri),
                ("code_challenge", tool.challenge),
                ("code_challenge_method", "S256"),
                *((("state", tool.state),) if tool.state is not None else ()),
            ),
        )
        return context.page(html)

    async def _decide(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        self._form.check_origin(request)
        _check_navigation(request)
        tool = parse_native_app_request(request.form)
        active = await self._active_session(request)
        if active is None:
            raise BadRequest("the consent form needs an active session")
        self._form.check_token(request, (active,))
        if single_parameter(request.form, "allow") != "1":
            return self._response_page(tool.response_url(error="access_denied"))
        identity = active.session.identity
        await context.admit_account(identity, endpoint="api/login")
        code = await context.sessions.one_time.issue_ticket(
            json.dumps(
                {
                    "for": CODE_PURPOSE,
                    "origin": str(request.origin),
                    "flow": "",
                    "provider": identity.provider,
                    "token": active.token,
                    "challenge": tool.challenge,
                    "redirect_uri": tool.redirect_uri,
                }
            ).encode(),
            ttl=CODE_SECONDS,
        )
        _log.info(
            "a tool was allowed on `%s`: session `%s`", request.origin, active.session.public_id
        )
        return self._response_page(tool.response_url(code=code))

    async def _active_session(self, request: LoginRequest) -> ActiveSession | None:
        """Return the session with a provider of a route that takes tools. Raises `LoginRefused`
        where no route takes tools."""
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
        active = await context.active_session(request, providers)
        if active is None:
            own_url = context.url(request.origin, PATH)
            if not set(providers) & set(context.providers_for(own_url)):
                raise LoginRefused(
                    f"sign-in at `{own_url}` leads to no provider of a route that takes tools",
                    public_message=_NOT_HERE,
                )
        return active

    def _response_page(self, url: str) -> LoginResponse:
        """Return a page that navigates to the tool: `form-action` forbids a redirect to it. The
        page is sandboxed, so that no other page of this host can read the code."""
        context = self._context
        policy = dict(context.pages.headers())["content-security-policy"]
        response = context.page(context.pages.continue_to(url=url))
        response = response.with_header(
            "content-security-policy", f"{policy}; sandbox allow-scripts"
        )
        # HTML, "Navigation": with an opener policy, a sandboxed document is a network error.
        return response.with_header(OPENER_POLICY, "unsafe-none")


def _check_navigation(request: LoginRequest) -> None:
    """Refuse requests by script: a script of this host could read the form and its response. Raises
    `BadRequest`."""
    if request.header("sec-fetch-mode") not in {None, "navigate"}:
        raise BadRequest("a tool's login that is not a navigation")
