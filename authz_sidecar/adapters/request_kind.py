"""The kind of client that sent a request, as far as it decides the form of a refusal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest

_FETCH_METADATA = ("sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site", "sec-fetch-user")
# RFC 9110 section 12.4.2: a weight of 0 is "not acceptable".
_HTML = re.compile(r"[ \t]*text/html[ \t]*(?!.*;[ \t]*q=0(?:\.0*)?[ \t]*(?:;|$))(?:;|$)")


def is_navigation(request: CheckRequest) -> bool:
    """Whether a browser loads a page, so that it can follow a redirect to the sign-in.

    Browsers report it (Fetch Metadata, section 2). Without these headers: a GET or HEAD that
    accepts HTML and that no script sent.
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
    """Whether `Accept` names `text/html`: scripts and command-line clients send `*/*`."""
    return any(
        _HTML.match(media_range)
        for value in request.header_values("accept")
        for media_range in value.lower().split(",")
    )


def is_grpc(request: CheckRequest) -> bool:
    """Whether the request is a gRPC call, by its content type."""
    return (request.header("content-type") or "").lower().startswith("application/grpc")


def is_preflight(request: CheckRequest) -> bool:
    """Whether this is a CORS preflight (Fetch, section 4.8), which carries no cookie and follows no
    redirect."""
    return request.method == "OPTIONS" and bool(
        request.header_values("access-control-request-method")
    )


def _is_prefetch(request: CheckRequest) -> bool:
    return any(
        "prefetch" in value.lower()
        for name in ("sec-purpose", "purpose", "x-purpose", "x-moz")
        for value in request.header_values(name)
    )
