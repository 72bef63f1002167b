"""The web edge of sign-in: routes under the base path and the few outside it. Every endpoint
converts, calls and converts; what a request means is decided in `login`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from authz_sidecar.core.browser_headers import isolated
from authz_sidecar.errors import AuthzError
from authz_sidecar.login.http import BadRequest, LoginReply, LoginRequest, Pairs
from authz_sidecar.login.service import LoginService
from authz_sidecar.observe.request_ids import new_request_id
from authz_sidecar.web.assets import load_assets
from authz_sidecar.web.isolation import Isolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.types import Address, Headers
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.host_resolution import Hosts

Handler = Callable[[LoginService, LoginRequest], Awaitable[LoginReply]]

LARGEST_FORM = 65_536
MOST_FIELDS = 50
RESOURCE = "/.well-known/oauth-protected-resource"
_FORM_TYPE = "application/x-www-form-urlencoded"
_ROBOTS = "User-agent: *\nDisallow: /\n"
_BARE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What the endpoints of one configuration call. They find it at the application and hold none of
    it themselves: FastAPI remembers endpoints in tables of its own, for longer than a configuration
    is in use."""

    service: LoginService
    hosts: Hosts
    jwks: Callable[[], Mapping[str, object]]
    resource: Callable[[Origin, str], Mapping[str, object] | None]
    client_address: Callable[[Request], Address | None]


def web_app(behind: Behind, *, base_path: str) -> FastAPI:
    """The whole application behind `web_listen`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.behind = behind
    app.add_exception_handler(HTTPException, _bare)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(Isolation)
    app.include_router(public_router(base_path=base_path))
    app.include_router(login_router(base_path=base_path))
    return app


def release(app: FastAPI) -> None:
    """Let go of what the endpoints call. The application itself is a circle of references, and would
    keep all of a configuration for as long as nobody looks for such."""
    del app.state.behind


def login_router(*, base_path: str) -> APIRouter:
    """What belongs to one browser on one of our hosts."""
    router = APIRouter(include_in_schema=False)

    def route(path: str, methods: list[str], handler: Handler) -> None:
        async def endpoint(request: Request) -> Response:
            request_id = new_request_id()
            behind = _behind(request)
            try:
                asked = await _asked(request, behind, request_id=request_id)
            except AuthzError as error:
                return _response(behind.service.refused(error, request_id=request_id))
            return _response(await handler(behind.service, asked))

        router.add_api_route(path, endpoint, methods=methods, response_class=Response)

    def ours(path: str, methods: list[str], handler: Handler) -> None:
        route(f"{base_path}{path}", methods, handler)

    ours("/start", ["GET", "POST"], LoginService.start)
    ours("/choose", ["GET"], LoginService.choose)
    ours("/callback", ["GET", "POST"], LoginService.callback)
    ours("/callback/{provider}", ["GET", "POST"], LoginService.callback)
    ours("/handover", ["GET"], LoginService.handover)
    ours("/sign_out", ["GET", "POST"], LoginService.sign_out)
    ours("/signed_out", ["GET", "HEAD"], LoginService.signed_out)
    ours("/sessions", ["GET", "HEAD"], LoginService.sessions)
    ours("/sessions/revoke", ["POST"], LoginService.revoke)
    ours("/backchannel-logout", ["POST"], LoginService.back_channel_logout)
    ours("/frontchannel-logout", ["GET"], LoginService.front_channel_logout)
    ours("/api/assertion", ["GET"], LoginService.assertion)
    ours("/userinfo", ["GET", "HEAD"], LoginService.userinfo)
    ours("/api/login", ["GET", "POST"], LoginService.programmatic_login)
    ours("/api/token", ["POST"], LoginService.token)
    ours("/", ["GET", "HEAD"], LoginService.who_am_i)
    ours("", ["GET", "HEAD"], LoginService.arrive)
    route("/", ["GET", "HEAD"], LoginService.root)
    return router


def public_router(*, base_path: str) -> APIRouter:
    """What is the same for everybody; of `RESOURCE`, on each host."""
    router = APIRouter(include_in_schema=False)
    assets = load_assets()

    # A parameter of its own would have FastAPI import all of pydantic's first version, for a look.
    async def static(request: Request) -> Response:
        if (asset := assets.get(request.path_params["name"])) is None:
            raise HTTPException(404)
        return Response(asset.body, headers=dict(asset.headers()))

    for path, endpoint in (
        (f"{base_path}/jwks.json", _keys),
        ("/.well-known/pomerium/jwks.json", _keys),
        (RESOURCE, _resource),
        (f"{RESOURCE}/{{rest:path}}", _resource),
        ("/robots.txt", _robots),
        (f"{base_path}/static/{{name}}", static),
    ):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"], response_class=Response)
    return router


async def _keys(request: Request) -> Response:
    return _document(_behind(request).jwks())


async def _resource(request: Request) -> Response:
    """What a host says of itself to programs (RFC 9728 section 3), for pages of any origin."""
    behind = _behind(request)
    path = request.scope["raw_path"].decode("latin-1").removeprefix(RESOURCE)
    try:
        document = behind.resource(behind.hosts.origin(_headers(request)), path)
    except AuthzError:
        document = None
    if document is None:
        raise HTTPException(404)
    response = _document(document)
    response.headers["access-control-allow-origin"] = "*"
    return response


async def _robots() -> Response:
    return Response(_ROBOTS, media_type="text/plain", headers=_BARE)


def _document(document: Mapping[str, object]) -> Response:
    headers = {"cache-control": "public, max-age=300"}
    return Response(json.dumps(document), media_type="application/json", headers=headers)


def _behind(request: Request) -> Behind:
    behind: Behind = request.app.state.behind
    return behind


async def _asked(request: Request, behind: Behind, *, request_id: str) -> LoginRequest:
    headers = _headers(request)
    return LoginRequest(
        origin=behind.hosts.origin(headers),
        method=request.method,
        path=request.url.path,
        query=_pairs(request.scope["query_string"]),
        form=_pairs(await _form(request)) if request.method == "POST" else (),
        headers=headers,
        client=behind.client_address(request),
        request_id=request_id,
    )


def _headers(request: Request) -> Headers:
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in request.headers.raw
    )


def _pairs(text: bytes) -> Pairs:
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise BadRequest("query or form that is not well-formed UTF-8") from error
    return tuple(pairs)


async def _form(request: Request) -> bytes:
    """A small form, or nothing; never more than `LARGEST_FORM` bytes in memory."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise BadRequest(f"form of more than {LARGEST_FORM} bytes")
    if body and kind != _FORM_TYPE:
        raise BadRequest(f"body of type `{kind:.60}` where a form should be")
    return bytes(body)


def _response(reply: LoginReply) -> Response:
    response = Response(reply.body, status_code=reply.status)
    for name, value in reply.headers:
        response.headers.append(name, value)
    return response


async def _failed(_request: Request, _error: Exception) -> Response:
    """Outside of all middleware; the server logs the error."""
    return Response(status_code=500, headers=dict(isolated(500, tuple(_BARE.items()))))


async def _bare(_request: Request, error: Exception) -> Response:
    """Nothing that tells one unknown address from another."""
    status, headers = (
        (error.status_code, error.headers or {}) if isinstance(error, HTTPException) else (500, {})
    )
    return Response(status_code=status, headers={**_BARE, **headers})
