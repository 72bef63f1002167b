from __future__ import annotations

import pytest

from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.proxies.base import RawRequest
from tests.proxies.asking import adapter_of


def raw(url: str) -> RawRequest:
    headers = (("x-original-url", url), ("x-original-method", "GET"))
    return RawRequest(method="GET", target="/auth/ingress-nginx", headers=headers, peer=None)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        pytest.param("https://app.example.com/", "app.example.com", "/", id="root"),
        pytest.param("https://app.example.com//a//b", "app.example.com", "//a//b", id="slashes"),
        pytest.param(
            "https://app.example.com/a?rd=https://b.c/d",
            "app.example.com",
            "/a?rd=https://b.c/d",
            id="URL in the query",
        ),
        pytest.param("https://a.b/@c.d/", "a.b", "/@c.d/", id="sign in the path"),
    ],
)
def test_the_url_is_taken_apart(url: str, host: str, target: str) -> None:
    request = adapter_of("ingress-nginx").parse(raw(url))
    assert (request.origin.host, request.target) == (host, target)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("/a", id="path alone"),
        pytest.param("//app.example.com/a", id="no scheme"),
        pytest.param("https:/app.example.com/a", id="one slash"),
        pytest.param("https:///a", id="no host"),
        pytest.param("https://app.example.com", id="no path"),
        pytest.param("https://app.example.com?x=/a", id="query for a path"),
        pytest.param("https://app.example.com#/a", id="fragment for a path"),
        pytest.param("https://a@app.example.com/a", id="userinfo"),
        pytest.param("https://app.example.com\\@admin.example.com/", id="backslash"),
        pytest.param("ftp://app.example.com/a", id="other scheme"),
        pytest.param(" https://app.example.com/a", id="leading space"),
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(BadProxyRequest):
        adapter_of("ingress-nginx").parse(raw(url))
