"""The answer as a client is to receive it, for proxies that relay whatever we say.

Traefik, Envoy, Caddy and HAProxy pass it on; nginx asks for it in a second call.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never

from authz_sidecar.adapters.base import Answer, Passed, Refused, Reply, SignInFirst
from authz_sidecar.adapters.request_kind import is_grpc, is_navigation
from authz_sidecar.core.browser_headers import isolated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.step_up import StepUp
    from authz_sidecar.core.types import CheckRequest

NO_STORE = ("cache-control", "no-store")
# Whether we redirect or refuse depends on these.
VARY = ("vary", "Accept, Cookie, Origin, Sec-Fetch-Dest, Sec-Fetch-Mode, X-Requested-With")

# https://grpc.io/docs/guides/status-codes: UNAUTHENTICATED, PERMISSION_DENIED, ...
_GRPC_STATUS = {400: "3", 401: "16", 403: "7", 429: "8", 503: "14"}


def render(answer: Answer, request: CheckRequest | None) -> Reply:
    match answer:
        case Passed():
            return passed(answer)
        case SignInFirst():
            return sign_in_first(answer, request)
        case Refused():
            return refused(answer, request)
        case _:
            assert_never(answer)


def passed(answer: Passed) -> Reply:
    headers = [NO_STORE, *answer.identity]
    if answer.cookie:
        headers.append(("cookie", answer.cookie))
    if answer.set_cookie is not None:
        headers.append(("set-cookie", answer.set_cookie))
    return Reply(status=200, headers=tuple(headers))


def sign_in_first(answer: SignInFirst, request: CheckRequest | None) -> Reply:
    if answer.navigation and request is not None:
        return redirect(answer.location, request)
    readable = _readable(answer.allowed_origin)
    if answer.step_up is not None:
        return _sign_in_again(answer, answer.step_up, request, *readable)
    message = "Sign in first."
    document = {"error": "unauthenticated", "message": message, "sign_in_url": answer.location}
    challenges = (("www-authenticate", challenge) for challenge in answer.challenges)
    return machine(401, document, message, request, *challenges, *readable)


def _sign_in_again(
    answer: SignInFirst, step_up: StepUp, request: CheckRequest | None, *headers: tuple[str, str]
) -> Reply:
    """RFC 9470 section 3; of methods (`amr`) it says nothing, so they are in the document alone."""
    error, message = "insufficient_user_authentication", "Sign in again, in the way asked for."
    document: dict[str, object] = {
        "error": error,
        "message": message,
        "sign_in_url": answer.location,
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
    return machine(401, document, message, request, ("www-authenticate", challenge), *headers)


def _readable(origin: str | None) -> tuple[tuple[str, str], ...]:
    """Fetch, "CORS protocol and credentials": named, not `*`, or a script with cookies is not
    shown the answer. `Vary` names `Origin` in any case."""
    if origin is None:
        return ()
    return (
        ("access-control-allow-origin", origin),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "Retry-After, WWW-Authenticate, X-Authz-Reason"),
    )


def redirect(location: str, request: CheckRequest) -> Reply:
    """RFC 9110 section 15.4.4: 303 turns any method into a GET; 307 would post the body again."""
    status = 302 if request.method in {"GET", "HEAD"} else 303
    return Reply(status=status, headers=(("location", location), NO_STORE, VARY))


def refused(answer: Refused, request: CheckRequest | None) -> Reply:
    retry = () if answer.retry_after is None else (("retry-after", str(answer.retry_after)),)
    reason = ("x-authz-reason", answer.reason)
    if answer.page is not None and request is not None and is_navigation(request):
        headers = (*answer.page.headers, VARY, reason, *retry, *answer.headers)
        body = answer.page.html.encode()
        return Reply(status=answer.status, headers=isolated(answer.status, headers), body=body)
    document: dict[str, object] = {"error": answer.reason, "message": answer.message}
    if answer.request_id is not None:
        document["request_id"] = answer.request_id
    more = (reason, *retry, *answer.headers, *_readable(answer.allowed_origin))
    return machine(answer.status, document, answer.message, request, *more)


def machine(
    status: int,
    document: Mapping[str, object],
    message: str,
    request: CheckRequest | None,
    *headers: tuple[str, str],
) -> Reply:
    """For a program: gRPC status or JSON."""
    if request is not None and is_grpc(request):
        of_grpc = (
            ("content-type", "application/grpc"),
            ("grpc-status", _GRPC_STATUS.get(status, "2")),
            ("grpc-message", message),
            NO_STORE,
            *headers,
        )
        return Reply(status=status, headers=isolated(status, of_grpc))
    of_json = (("content-type", "application/json"), NO_STORE, VARY, *headers)
    body = json.dumps(document).encode() + b"\n"
    return Reply(status=status, headers=isolated(status, of_json), body=body)
