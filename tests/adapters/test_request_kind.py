from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_sidecar.adapters.request_kind import is_grpc, is_navigation
from authz_sidecar.core.types import CheckRequest
from authz_sidecar.core.urls import Origin

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

NAVIGATE: Headers = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))
HTML: Headers = (("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),)


def request(headers: Headers, method: str = "GET", *, websocket: bool = False) -> CheckRequest:
    origin = Origin("https", "app.example.com")
    return CheckRequest(
        adapter="t", method=method, origin=origin, path="/", headers=headers, websocket=websocket
    )


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        pytest.param(NAVIGATE, "GET", id="link"),
        pytest.param(NAVIGATE, "POST", id="form"),
        pytest.param((*NAVIGATE, ("accept", "*/*")), "GET", id="link that accepts anything"),
        pytest.param(HTML, "GET", id="browser without fetch metadata"),
        pytest.param(HTML, "HEAD", id="head"),
        pytest.param((("accept", "TEXT/HTML;q=0.1"),), "GET", id="HTML if need be"),
        pytest.param((("accept", "*/*"), ("accept", "text/html")), "GET", id="two lines"),
    ],
)
def test_a_person_waits_for_a_page(headers: Headers, method: str) -> None:
    assert is_navigation(request(headers, method))


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        pytest.param((), "GET", id="nothing known"),
        pytest.param((("accept", "*/*"),), "GET", id="anything"),
        pytest.param((("accept", "application/json"),), "GET", id="json"),
        pytest.param((("accept", "text/event-stream"),), "GET", id="events"),
        pytest.param((("accept", "text/html;q=0, */*"),), "GET", id="anything but HTML"),
        pytest.param((("accept", "text/htmlx"),), "GET", id="something like HTML"),
        pytest.param((*HTML, ("x-requested-with", "XMLHttpRequest")), "GET", id="script"),
        pytest.param(HTML, "POST", id="post without fetch metadata"),
        pytest.param((*HTML, ("sec-fetch-mode", "cors")), "GET", id="fetch"),
        pytest.param((*HTML, ("sec-fetch-site", "none")), "GET", id="half of the metadata"),
        pytest.param(
            (*HTML, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")), "GET", id="frame"
        ),
        pytest.param((*NAVIGATE, ("sec-fetch-mode", "cors")), "GET", id="contradiction"),
        pytest.param((*NAVIGATE, ("sec-purpose", "prefetch;prerender")), "GET", id="prerender"),
        pytest.param((*HTML, ("purpose", "prefetch")), "GET", id="prefetch"),
        pytest.param(
            (*NAVIGATE, ("access-control-request-method", "PUT")), "OPTIONS", id="preflight"
        ),
        pytest.param((*NAVIGATE, ("content-type", "application/grpc")), "POST", id="gRPC"),
    ],
)
def test_nobody_follows_a_redirect(headers: Headers, method: str) -> None:
    assert not is_navigation(request(headers, method))


def test_a_websocket_is_no_navigation() -> None:
    assert not is_navigation(request((*NAVIGATE, *HTML), websocket=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc-web-text", True),
        ("Application/GRPC", True),
        ("application/json", False),
    ],
)
def test_grpc(text: str, *, expected: bool) -> None:
    assert is_grpc(request((("content-type", text),))) is expected
