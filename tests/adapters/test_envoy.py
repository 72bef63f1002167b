from __future__ import annotations

import pytest

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.errors import BadProxyRequest
from tests.adapters.requests import find_adapter


def raw(target: str, method: str = "GET") -> SubRequest:
    headers = (("host", "app.example.com"), ("x-forwarded-proto", "https"))
    return SubRequest(method=method, target=target, headers=headers, peer=None)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("/auth/envoy/", "/", id="root"),
        pytest.param("/auth/envoy/a/b?c", "/a/b", id="path"),
        pytest.param("/auth/envoy/auth/envoy/x", "/auth/envoy/x", id="prefix cut once"),
        pytest.param("/auth/envoy/auth/envoy/../../x", "/auth/envoy/../../x", id="dots stay"),
        pytest.param("/auth/envoy//x", "//x", id="slashes stay"),
        pytest.param("/auth/envoy/%2e%2e/x", "/%2e%2e/x", id="escapes stay"),
        pytest.param("/auth/envoy/../../healthz", "/../../healthz", id="no way out"),
    ],
)
def test_the_path_stands_behind_the_prefix(target: str, path: str) -> None:
    assert find_adapter("envoy").parse(raw(target)).path == path


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/auth/envoy", id="nothing behind it"),
        pytest.param("/auth/envoy?x", id="query alone"),
        pytest.param("/auth/envoyx/a", id="not at a segment"),
        pytest.param("/x/auth/envoy/a", id="not at the beginning"),
        pytest.param("/auth/%65nvoy/a", id="in other letters"),
        pytest.param("//auth/envoy/a", id="doubled slash"),
        pytest.param("https://app.example.com/auth/envoy/a", id="absolute form"),
    ],
)
def test_without_the_prefix_nothing_is_read(target: str) -> None:
    with pytest.raises(BadProxyRequest):
        find_adapter("envoy").parse(raw(target))


def test_the_method_is_the_requests_own() -> None:
    assert find_adapter("envoy").parse(raw("/auth/envoy/", "PROPFIND")).method == "PROPFIND"
