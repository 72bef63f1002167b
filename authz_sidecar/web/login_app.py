"""The web application of the sign-in: routes under the base path and the few outside it. Every
endpoint converts, calls and converts; requests are judged in `login`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from authz_sidecar.core.browser_headers import with_isolation_headers
from authz_sidecar.errors import AuthzError
from authz_sidecar.login.http import BadRequest, LoginRequest, LoginResponse, Pairs
from authz_sidecar.login.service import LoginService
from authz_sidecar.observe.request_ids import new_request_id
from authz_sidecar.web.assets import load_assets
from authz_sidecar.web.isolation import IsolationMiddleware

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.types import Address, Headers
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.host_resolution import HostResolver

Handler = Callable[[LoginService, LoginRequest], Awaitable[LoginResponse]]

MAX_FORM_BYTES = 65_536
MAX_FORM_FIELDS = 50
PROTECTED_RESOURCE_PATH = "/.well-known/oauth-protected-resource"
_FORM_TYPE = "application/x-www-form-urlencoded"
_ROBOTS = "User-agent: *\nDisallow: /\n"
_PLAIN_HEADERS = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginServices:
    """What the endpoints of one configuration call.

    Endpoints look it up at the application and hold none of it: FastAPI keeps endpoints in tables
    of its own, for longer than a configuration is in use.
    """

    login: LoginService
    hosts: HostResolver
    jwks: Callable[[], Mapping[str, object]]
    resource_metadata: Callable[[Origin, str], Mapping[str, object] | None]
    client_address: Callable[[Request], Address | None]


def build_web_app(services: LoginServices, *, base_path: str) -> FastAPI:
    """Return the application behind `web_listen`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    app.add_exception_handler(HTTPException, _bare_error)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(IsolationMiddleware)
    app.include_router(public_router(base_path=base_path))
    app.include_router(login_router(base_path=base_path))
    return app


def release(app: FastAPI) -> None:
    """Drop the services of the application.

    The application itself is a reference cycle, and would keep the whole configuration alive until
    the next collection of such cycles.
    """
    del app.state.services


def login_router(*, base_path: str) -> APIRouter:
    """Return the routes that depend on the host and the browser."""
    router = APIRouter(include_in_schema=False)

    def route(path: str, methods: list[str], handler: Handler) -> None:
        async def endpoint(request: Request) -> Response:
            request_id = new_request_id()
            services = _services(request)
            try:
                login_request = await _login_request(request, services, request_id=request_id)
            except AuthzError as error:
                return _to_response(services.login.error_response(error, request_id=request_id))
            return _to_response(await handler(services.login, login_request))

        router.add_api_route(path, endpoint, methods=methods, response_class=Response)

    def under_base_path(path: str, methods: list[str], handler: Handler) -> None:
        route(f"{base_path}{path}", methods, handler)

    under_base_path("/start", ["GET", "POST"], LoginService.start)
    under_base_path("/choose", ["GET"], LoginService.choose)
    under_base_path("/callback", ["GET", "POST"], LoginService.callback)
    under_base_path("/callback/{provider}", ["GET", "POST"], LoginService.callback)
    under_base_path("/handover", ["GET"], LoginService.handover)
    under_base_path("/sign_out", ["GET", "POST"], LoginService.sign_out)
    under_base_path("/signed_out", ["GET", "HEAD"], LoginService.signed_out)
    under_base_path("/sessions", ["GET", "HEAD"], LoginService.sessions)
    under_base_path("/sessions/revoke", ["POST"], LoginService.revoke)
    under_base_path("/backchannel-logout", ["POST"], LoginService.back_channel_logout)
    under_base_path("/frontchannel-logout", ["GET"], LoginService.front_channel_logout)
    under_base_path("/api/assertion", ["GET"], LoginService.assertion)
    under_base_path("/userinfo", ["GET", "HEAD"], LoginService.userinfo)
    under_base_path("/api/login", ["GET", "POST"], LoginService.native_app_login)
    under_base_path("/api/token", ["POST"], LoginService.token)
    under_base_path("/", ["GET", "HEAD"], LoginService.whoami)
    under_base_path("", ["GET", "HEAD"], LoginService.whoami_redirect)
    route("/", ["GET", "HEAD"], LoginService.root)
    return router


def public_router(*, base_path: str) -> APIRouter:
    """Return the routes that are the same for every client; `PROTECTED_RESOURCE_PATH` depends on
    the host.

    The endpoint of static files raises `HTTPException` for an unknown name.
    """
    router = APIRouter(include_in_schema=False)
    assets = load_assets()

    # A path parameter in the signature would make FastAPI import all of pydantic.v1.
    async def static_file(request: Request) -> Response:
        if (asset := assets.get(request.path_params["name"])) is None:
            raise HTTPException(404)
        return Response(asset.body, headers=dict(asset.headers()))

    for path, endpoint in (
        (f"{base_path}/jwks.json", _jwks),
        ("/.well-known/pomerium/jwks.json", _jwks),
        (PROTECTED_RESOURCE_PATH, _protected_resource),
        (f"{PROTECTED_RESOURCE_PATH}/{{rest:path}}", _protected_resource),
        ("/robots.txt", _robots_txt),
        (f"{base_path}/static/{{name}}", static_file),
    ):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"], response_class=Response)
    return router


async def _jwks(request: Request) -> Response:
    return _json_document(_services(request).jwks())


async def _protected_resource(request: Request) -> Response:
    """Return the metadata of a protected resource (RFC 9728 section 3), for scripts of any origin."""
    services = _services(request)
    path = request.scope["raw_path"].decode("latin-1").removeprefix(PROTECTED_RESOURCE_PATH)
    try:
        document = services.resource_metadata(services.hosts.resolve(_headers(request)), path)
    except AuthzError:
        document = None
    if document is None:
        raise HTTPException(404)
    response = _json_document(document)
    response.headers["access-control-allow-origin"] = "*"
    return response


async def _robots_txt() -> Response:
    return Response(_ROBOTS, media_type="text/plain", headers=_PLAIN_HEADERS)


def _json_document(content: Mapping[str, object]) -> Response:
    headers = {"cache-control": "public, max-age=300"}
    return Response(json.dumps(content), media_type="application/json", headers=headers)


def _services(request: Request) -> LoginServices:
    services: LoginServices = request.app.state.services
    return services


async def _login_request(
    request: Request, services: LoginServices, *, request_id: str
) -> LoginRequest:
    headers = _headers(request)
    return LoginRequest(
        origin=services.hosts.resolve(headers),
        method=request.method,
        path=request.url.path,
        query=_parse_pairs(request.scope["query_string"]),
        form=_parse_pairs(await _read_form(request)) if request.method == "POST" else (),
        headers=headers,
        client=services.client_address(request),
        request_id=request_id,
    )


def _headers(request: Request) -> Headers:
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in request.headers.raw
    )


def _parse_pairs(text: bytes) -> Pairs:
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise BadRequest("query or form that is not well-formed UTF-8") from error
    return tuple(pairs)


async def _read_form(request: Request) -> bytes:
    """Return the body if it is a form; keeps at most `MAX_FORM_BYTES` in memory."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise BadRequest(f"form of more than {MAX_FORM_BYTES} bytes")
    if body and media_type != _FORM_TYPE:
        raise BadRequest(f"body of type `{media_type:.60}` where a form should be")
    return bytes(body)


def _to_response(login_response: LoginResponse) -> Response:
    response = Response(login_response.body, status_code=login_response.status)
    for name, value in login_response.headers:
        response.headers.append(name, value)
    return response


async def _failed(_request: Request, _error: Exception) -> Response:
    """Return 500, outside of all middleware; the server logs the error."""
    return Response(
        status_code=500, headers=dict(with_isolation_headers(500, tuple(_PLAIN_HEADERS.items())))
    )


async def _bare_error(_request: Request, error: Exception) -> Response:
    """Return the status alone, so that unknown addresses look alike."""
    status, headers = (
        (error.status_code, error.headers or {}) if isinstance(error, HTTPException) else (500, {})
    )
    return Response(status_code=status, headers={**_PLAIN_HEADERS, **headers})
