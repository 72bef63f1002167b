"""The response for the client, for proxies that relay it unchanged.

Traefik, Envoy, Caddy and HAProxy relay it; nginx gets it by a second subrequest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never

from authz_sidecar.adapters.base import (
    Allowed,
    AuthzResponse,
    HttpResponse,
    LoginRequired,
    Rejected,
)
from authz_sidecar.adapters.request_kind import is_grpc, is_navigation
from authz_sidecar.core.browser_headers import with_isolation_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import CheckRequest

NO_STORE = ("cache-control", "no-store")
# The choice between a redirect and a refusal depends on these.
VARY = ("vary", "Accept, Cookie, Origin, Sec-Fetch-Dest, Sec-Fetch-Mode, X-Requested-With")

# https://grpc.io/docs/guides/status-codes: UNAUTHENTICATED, PERMISSION_DENIED, ...
_GRPC_STATUS = {400: "3", 401: "16", 403: "7", 429: "8", 503: "14"}


def render(response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
    """Return the HTTP response for the client. `request` is None when it could not be parsed."""
    match response:
        case Allowed():
            return allowed(response)
        case LoginRequired():
            return login_required(response, request)
        case Rejected():
            return rejected(response, request)
        case _:
            assert_never(response)


def allowed(response: Allowed) -> HttpResponse:
    """Return 200 with the headers for the application."""
    headers = [NO_STORE, *response.identity]
    if response.cookie:
        headers.append(("cookie", response.cookie))
    if response.set_cookie is not None:
        headers.append(("set-cookie", response.set_cookie))
    return HttpResponse(status=200, headers=tuple(headers))


def login_required(response: LoginRequired, request: CheckRequest | None) -> HttpResponse:
    """Return a redirect to the sign-in for navigations, else 401 with the sign-in URL in the body."""
    if response.navigation and request is not None:
        return redirect(response.location, request)
    readable = _cors_headers(response.allowed_origin)
    if response.step_up is not None:
        return _step_up_required(response, response.step_up, request, *readable)
    message = "Sign in first."
    document = {"error": "unauthenticated", "message": message, "sign_in_url": response.location}
    challenges = (("www-authenticate", challenge) for challenge in response.challenges)
    return json_or_grpc_error(401, document, message, request, *challenges, *readable)


def _step_up_required(
    response: LoginRequired,
    step_up: AuthenticationRequirement,
    request: CheckRequest | None,
    *headers: tuple[str, str],
) -> HttpResponse:
    """Return 401 as in RFC 9470 section 3, which has no parameter for `amr`: it is in the body
    alone."""
    error, message = "insufficient_user_authentication", "Sign in again in the required way."
    document: dict[str, object] = {
        "error": error,
        "message": message,
        "sign_in_url": response.location,
    }
    challenge = f'Bearer error="{error}", error_description="{message}"'
    if step_up.acr:
        document["acr_values"] = list(step_up.acr)
        challenge += f', acr_values="{" ".join(step_up.acr)}"'
    if step_up.max_age is not None:
        document["max_age"] = int(step_up.max_age)
        challenge += f', max_age="{int(step_up.max_age)}"'
    if step_up.amr:
        document["amr"] = list(step_up.amr)
    return json_or_grpc_error(
        401, document, message, request, ("www-authenticate", challenge), *headers
    )


def _cors_headers(origin: str | None) -> tuple[tuple[str, str], ...]:
    """Return the headers that let `origin` read the response (Fetch, "CORS protocol and
    credentials").

    The origin is named, because `*` does not allow requests with cookies.
    """
    if origin is None:
        return ()
    return (
        ("access-control-allow-origin", origin),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "Retry-After, WWW-Authenticate, X-Authz-Reason"),
    )


def redirect(location: str, request: CheckRequest) -> HttpResponse:
    """Return a redirect; 303 turns any method into a GET, 307 would repeat the body (RFC 9110
    section 15.4.4)."""
    status = 302 if request.method in {"GET", "HEAD"} else 303
    return HttpResponse(status=status, headers=(("location", location), NO_STORE, VARY))


def rejected(response: Rejected, request: CheckRequest | None) -> HttpResponse:
    """Return the refusal: a page for navigations, else JSON or a gRPC status."""
    retry = () if response.retry_after is None else (("retry-after", str(response.retry_after)),)
    reason = ("x-authz-reason", response.reason)
    if response.page is not None and request is not None and is_navigation(request):
        headers = (*response.page.headers, VARY, reason, *retry, *response.headers)
        body = response.page.html.encode()
        return HttpResponse(
            status=response.status,
            headers=with_isolation_headers(response.status, headers),
            body=body,
        )
    document: dict[str, object] = {"error": response.reason, "message": response.message}
    if response.request_id is not None:
        document["request_id"] = response.request_id
    more = (reason, *retry, *response.headers, *_cors_headers(response.allowed_origin))
    return json_or_grpc_error(response.status, document, response.message, request, *more)


def json_or_grpc_error(
    status: int,
    document: Mapping[str, object],
    message: str,
    request: CheckRequest | None,
    *headers: tuple[str, str],
) -> HttpResponse:
    """Return an error for a program: a gRPC status for gRPC calls, else JSON."""
    if request is not None and is_grpc(request):
        grpc_headers = (
            ("content-type", "application/grpc"),
            ("grpc-status", _GRPC_STATUS.get(status, "2")),
            ("grpc-message", message),
            NO_STORE,
            *headers,
        )
        return HttpResponse(status=status, headers=with_isolation_headers(status, grpc_headers))
    json_headers = (("content-type", "application/json"), NO_STORE, VARY, *headers)
    body = json.dumps(document).encode() + b"\n"
    return HttpResponse(
        status=status, headers=with_isolation_headers(status, json_headers), body=body
    )
