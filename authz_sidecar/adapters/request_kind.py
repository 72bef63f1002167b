"""What kind of client a request comes from, as far as it decides how to say no."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest

_FETCH_METADATA = ("sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site", "sec-fetch-user")
# RFC 9110 section 12.4.2: a weight of 0 is "not acceptable".
_HTML = re.compile(r"[ \t]*text/html[ \t]*(?!.*;[ \t]*q=0(?:\.0*)?[ \t]*(?:;|$))(?:;|$)")


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
    """Asks for it by name: `*/*` is what scripts and command-line clients say."""
    return any(
        _HTML.match(media_range)
        for value in request.header_values("accept")
        for media_range in value.lower().split(",")
    )


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
