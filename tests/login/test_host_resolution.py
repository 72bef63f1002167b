"""Which host a request is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.login.host_resolution import HostResolver

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

KNOWN = {
    parse_origin(text)
    for text in (
        "https://app.example.com",
        "http://app.localhost:8080",
        "https://both.test",
        "http://both.test",
    )
}
HOSTS = HostResolver(is_known=KNOWN.__contains__)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([("host", "app.example.com")], "https://app.example.com", id="as it is"),
        pytest.param([("host", "APP.example.com.:443")], "https://app.example.com", id="normal"),
        pytest.param([("host", "app.localhost:8080")], "http://app.localhost:8080", id="http"),
        pytest.param(
            [("host", "app.example.com"), ("x-forwarded-proto", "https")],
            "https://app.example.com",
            id="scheme agreed on",
        ),
        pytest.param([("host", "both.test")], "https://both.test", id="both: https"),
        pytest.param(
            [("host", "both.test"), ("x-forwarded-proto", "http")],
            "http://both.test",
            id="both: the proxy says which",
        ),
    ],
)
def test_known(headers: Headers, expected: str) -> None:
    assert str(HOSTS.resolve(tuple(headers))) == expected


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        pytest.param([], "exactly one", id="none"),
        pytest.param([("host", "app.example.com")] * 2, "exactly one", id="two"),
        pytest.param([("host", "evil.example")], "not configured", id="unknown"),
        pytest.param([("host", "app.example.com:8443")], "not configured", id="another port"),
        pytest.param([("host", "app.example.com:80")], "not configured", id="http's port"),
        pytest.param([("host", "x.app.example.com")], "not configured", id="below"),
        pytest.param([("host", "app.example.com@evil.example")], "not configured", id="userinfo"),
        pytest.param([("host", "")], "not configured", id="empty"),
        pytest.param(
            [("host", "app.example.com"), ("x-forwarded-proto", "http")],
            "scheme-mismatch",
            id="another scheme",
        ),
        pytest.param(
            [("host", "app.example.com"), ("x-forwarded-proto", "https, http")],
            "scheme-mismatch",
            id="a list of schemes",
        ),
        pytest.param(
            [("host", "app.example.com"), *[("x-forwarded-proto", "https")] * 2],
            "scheme-mismatch",
            id="scheme twice",
        ),
    ],
)
def test_refused(headers: Headers, why: str) -> None:
    with pytest.raises(BadProxyRequest, match=why):
        HOSTS.resolve(tuple(headers))
