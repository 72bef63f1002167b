"""The token endpoint for command-line tools: exchanges the code of `native_apps` and its PKCE
verifier for an API token of this host (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.types import SessionKind
from authz_sidecar.errors import AuthzError, LoginRefused, RateLimited, StoreUnavailable
from authz_sidecar.login.error_pages import RETRY_SECONDS
from authz_sidecar.login.http import BadRequest, LoginResponse, single_parameter
from authz_sidecar.login.native_apps import CODE_PURPOSE
from authz_sidecar.sessions.api_tokens import ApiTokenPrefix, format_api_token, tool_scope

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest

_log = logging.getLogger(__name__)

# RFC 7636 section 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class GrantRefused(LoginRefused):
    """A token request that is refused.

    `code`: the error code (RFC 6749 section 5.2).
    """

    status = 400

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TokenEndpoint:
    """The endpoint `api/token`."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def respond(self, request: LoginRequest) -> LoginResponse:
        """Return a token response (RFC 6749 section 5.1). Raises `GrantRefused`, and `BadRequest`
        for a duplicate parameter. The code is used up in any case."""
        context = self._context
        grant_type = single_parameter(request.form, "grant_type")
        if grant_type is None:
            raise GrantRefused("invalid_request", "no grant_type")
        if grant_type != "authorization_code":
            raise GrantRefused("unsupported_grant_type", "grant_type is not authorization_code")
        values = {name: single_parameter(request.form, name) for name in ("code", "code_verifier")}
        code, verifier = values["code"] or "", values["code_verifier"] or ""
        if not code or not _VERIFIER.fullmatch(verifier):
            raise GrantRefused("invalid_request", "no code, or no usable code_verifier")
        payload = await context.sessions.one_time.redeem_ticket(code)
        # From here on the code is used up, whatever the result.
        fields = {} if payload is None else json.loads(payload)
        is_valid = (
            fields.get("for") == CODE_PURPOSE
            and fields["origin"] == str(request.origin)
            and fields["redirect_uri"] == single_parameter(request.form, "redirect_uri")
            and hmac.compare_digest(fields["challenge"], s256_challenge(verifier))
        )
        if not is_valid:
            raise GrantRefused("invalid_grant", "code is unknown, used, too old or another's")
        return self._token_response(*await self._session(request, fields))

    async def _session(self, request: LoginRequest, fields: dict[str, str]) -> tuple[str, Session]:
        context = self._context
        browser_session = await context.sessions.find(
            fields["token"],
            scope=context.cookies.scope_for(request.origin),
            provider=fields["provider"],
        )
        if browser_session is None:
            raise GrantRefused("invalid_grant", "the sign-in has ended in the meantime")
        try:
            secret, session = await context.sessions.create(
                identity=browser_session.identity,
                scope=tool_scope(request.origin),
                client="" if request.client is None else str(request.client),
                user_agent=request.user_agent,
                parent=browser_session.root_session,
                parent_token=fields["token"],
                kind=SessionKind.TOOL,
            )
        except StoreUnavailable:
            raise
        except LoginRefused as error:
            raise GrantRefused("invalid_grant", str(error)) from error
        _log.info("a tool has its token on `%s`: session `%s`", request.origin, session.public_id)
        return secret, session

    def _token_response(self, secret: str, session: Session) -> LoginResponse:
        return json_response(
            200,
            {
                "access_token": format_api_token(ApiTokenPrefix.TOOL, secret),
                "token_type": "Bearer",
                "expires_in": max(0, int(session.expires_at - self._context.clock())),
            },
        )


def error_response(error: AuthzError) -> LoginResponse:
    """Return the error response (RFC 6749 section 5.2); for errors without a code there, the code
    of section 4.1.2.1."""
    retry_after: tuple[tuple[str, str], ...] = ()
    match error:
        case GrantRefused():
            code = error.code
        case BadRequest():
            code = "invalid_request"
        case RateLimited():
            code, retry_after = (
                "temporarily_unavailable",
                (("retry-after", str(error.retry_after)),),
            )
        case StoreUnavailable():
            code, retry_after = "temporarily_unavailable", (("retry-after", str(RETRY_SECONDS)),)
        case _:
            code = "invalid_grant"
    return json_response(
        error.status, {"error": code, "error_description": error.public_message}, *retry_after
    )


def json_response(
    status: int, document: dict[str, object], *more: tuple[str, str]
) -> LoginResponse:
    """Return a JSON response that must not be cached (RFC 6749 section 5.1)."""
    no_store = (("cache-control", "no-store"), ("pragma", "no-cache"))
    content_type = (("content-type", "application/json"),)
    return LoginResponse(
        status=status, headers=(*content_type, *no_store, *more), body=json.dumps(document).encode()
    )


def s256_challenge(verifier: str) -> str:
    """Return the PKCE code challenge of a verifier, by the method S256 (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64url_encode(digest)
