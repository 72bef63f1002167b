"""Programmatic sign-in, the tool's half: the code, once, and the proof that belongs to it become a
token for this host (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.encoding import base64url
from authz_sidecar.core.types import SessionKind
from authz_sidecar.errors import AuthzError, LoginRefused, StoreUnavailable, Throttled
from authz_sidecar.login.error_pages import RETRY_SECONDS
from authz_sidecar.login.http import BadRequest, LoginReply, one
from authz_sidecar.login.native_apps import CODE
from authz_sidecar.sessions.api_tokens import Prefix, tool_scope, written

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.login.context import Desk
    from authz_sidecar.login.http import LoginRequest

_log = logging.getLogger(__name__)

# RFC 7636 section 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class GrantRefused(LoginRefused):
    """`code` is one of RFC 6749 section 5.2."""

    status = 400

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TokenEndpoint:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def token(self, request: LoginRequest) -> LoginReply:
        desk = self._desk
        grant = one(request.form, "grant_type")
        if grant is None:
            raise GrantRefused("invalid_request", "no grant_type")
        if grant != "authorization_code":
            raise GrantRefused("unsupported_grant_type", "grant_type is not authorization_code")
        given = {name: one(request.form, name) for name in ("code", "code_verifier")}
        code, verifier = given["code"] or "", given["code_verifier"] or ""
        if not code or not _VERIFIER.fullmatch(verifier):
            raise GrantRefused("invalid_request", "no code, or no usable code_verifier")
        payload = await desk.sessions.notes.take_ticket(code)
        # From here on the code is used up, whoever brought it.
        fields = {} if payload is None else json.loads(payload)
        matching = (
            fields.get("for") == CODE
            and fields["origin"] == str(request.origin)
            and fields["redirect_uri"] == one(request.form, "redirect_uri")
            and hmac.compare_digest(fields["challenge"], challenge_of(verifier))
        )
        if not matching:
            raise GrantRefused("invalid_grant", "code is unknown, used, too old or another's")
        return self._given(*await self._session(request, fields))

    async def _session(self, request: LoginRequest, fields: dict[str, str]) -> tuple[str, Session]:
        desk = self._desk
        here = await desk.sessions.find(
            fields["token"],
            scope=desk.cookies.scope_for(request.origin),
            provider=fields["provider"],
        )
        if here is None:
            raise GrantRefused("invalid_grant", "the sign-in has ended in the meantime")
        try:
            secret, session = await desk.sessions.create(
                identity=here.identity,
                scope=tool_scope(request.origin),
                client="" if request.client is None else str(request.client),
                user_agent=request.user_agent,
                parent=here.sign_in,
                parent_token=fields["token"],
                kind=SessionKind.TOOL,
            )
        except StoreUnavailable:
            raise
        except LoginRefused as error:
            raise GrantRefused("invalid_grant", str(error)) from error
        _log.info("a tool has its token on `%s`: session `%s`", request.origin, session.handle)
        return secret, session

    def _given(self, secret: str, session: Session) -> LoginReply:
        return answer(
            200,
            {
                "access_token": written(Prefix.TOOL, secret),
                "token_type": "Bearer",
                "expires_in": max(0, int(session.expires_at - self._desk.clock())),
            },
        )


def refusal(error: AuthzError) -> LoginReply:
    """RFC 6749 section 5.2. What it has no word for is said in that of section 4.1.2.1."""
    retry: tuple[tuple[str, str], ...] = ()
    match error:
        case GrantRefused():
            code = error.code
        case BadRequest():
            code = "invalid_request"
        case Throttled():
            code, retry = "temporarily_unavailable", (("retry-after", str(error.retry_after)),)
        case StoreUnavailable():
            code, retry = "temporarily_unavailable", (("retry-after", str(RETRY_SECONDS)),)
        case _:
            code = "invalid_grant"
    return answer(error.status, {"error": code, "error_description": error.public}, *retry)


def answer(status: int, document: dict[str, object], *more: tuple[str, str]) -> LoginReply:
    # RFC 6749 section 5.1: both, wherever a token may stand.
    never = (("cache-control", "no-store"), ("pragma", "no-cache"))
    kind = (("content-type", "application/json"),)
    return LoginReply(
        status=status, headers=(*kind, *never, *more), body=json.dumps(document).encode()
    )


def challenge_of(verifier: str) -> str:
    """RFC 7636 section 4.2, S256."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64url(digest)
