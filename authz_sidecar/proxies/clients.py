"""What kind of client a request comes from, as far as it decides how to say no."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest

_FETCH_METADATA = ("sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site", "sec-fetch-user")


def is_navigation(request: CheckRequest) -> bool:
    """Whether a person waits for a page, so that a redirect to sign-in leads somewhere.

    Browsers say so (Fetch Metadata, section 2). Without their word: a GET or HEAD that accepts
    HTML and was not sent by a script.
    """
    if request.websocket or is_preflight(request) or is_grpc(request) or _is_prefetch(request):
        return False
    if any(request.header_values(name) for name in _FETCH_METADATA):
        return (
            request.header("sec-fetch-mode") == "navigate"
            and request.header("sec-fetch-dest") == "document"
        )
    return (
        request.method in {"GET", "HEAD"}
        and accepts_html(request)
        and not request.header_values("x-requested-with")
    )


def accepts_html(request: CheckRequest) -> bool:
    return any("text/html" in value.lower() for value in request.header_values("accept"))


def is_grpc(request: CheckRequest) -> bool:
    return (request.header("content-type") or "").lower().startswith("application/grpc")


def is_preflight(request: CheckRequest) -> bool:
    """A CORS preflight (Fetch, section 4.8): it can neither carry a cookie nor be redirected."""
    return request.method == "OPTIONS" and bool(
        request.header_values("access-control-request-method")
    )


def _is_prefetch(request: CheckRequest) -> bool:
    return any(
        "prefetch" in value.lower()
        for name in ("sec-purpose", "purpose", "x-purpose", "x-moz")
        for value in request.header_values(name)
    )
