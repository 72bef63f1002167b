"""Metadata of protected resources (RFC 9728), and the challenges that lead there."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import pytest
from starlette.testclient import TestClient

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.host_resolution import HostResolver
from authz_sidecar.tokens.protected_resource import ProtectedResources
from authz_sidecar.web.login_app import LoginServices, build_web_app
from tests.routes.settings import RouteSpec, compile_routes
from tests.support.authorizer import APP, JSON, header
from tests.tokens.issuers import API, build_token_fixture, issuer_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.hostile_provider import HostileProvider

WELL_KNOWN = "/.well-known/oauth-protected-resource"
ROUTES = (
    RouteSpec(name="app", allow_any_authenticated_user=True),
    RouteSpec(name="api", prefix="/api", allow_any_authenticated_user=True, token_issuers=("ci",)),
    RouteSpec(
        name="keys", prefix="/keys", allow_any_authenticated_user=True, token_issuers=("as",)
    ),
    RouteSpec(
        name="secret", prefix="/secret", allow_any_authenticated_user=True, token_issuers=("k8s",)
    ),
    RouteSpec(name="other", from_="https://other.example.com", allow_any_authenticated_user=True),
)


@pytest.fixture
def resources(server: HostileProvider) -> ProtectedResources:
    configured = (
        issuer_settings(server, scopes=("read",)),
        issuer_settings(server, name="as", issuer="https://as.example.com", require_dpop=True),
        issuer_settings(
            server, name="k8s", issuer="https://kubernetes.default.svc", advertised=False
        ),
    )
    issuers = {each.name: each for each in configured}
    return ProtectedResources(compile_routes(*ROUTES, token_issuers=tuple(issuers)).index, issuers)


def asked(resources: ProtectedResources, path: str, host: str = APP) -> Mapping[str, object] | None:
    return resources.metadata(parse_origin(host), path)


def test_a_path_is_told_whose_tokens_count_there(
    server: HostileProvider, resources: ProtectedResources
) -> None:
    found = asked(resources, "/api/things")
    assert found is not None
    assert found["resource"] == f"{APP}/api/things"
    assert found["authorization_servers"] == [server.issuer]
    assert found["bearer_methods_supported"] == ["header"]
    assert found["scopes_supported"] == ["read"]
    assert "dpop_bound_access_tokens_required" not in found


def test_the_host_as_a_whole_names_all_of_them(
    server: HostileProvider, resources: ProtectedResources
) -> None:
    found = asked(resources, "")
    assert found is not None
    assert found["resource"] == APP
    assert found["authorization_servers"] == [server.issuer, "https://as.example.com"]


def test_where_a_proof_is_required_it_is_said(resources: ProtectedResources) -> None:
    found = asked(resources, "/keys")
    assert found is not None
    assert found["dpop_bound_access_tokens_required"] is True


@pytest.mark.parametrize(
    ("path", "host"),
    [
        pytest.param("/", "https://other.example.com", id="host without programs"),
        pytest.param("", "https://unknown.example.com", id="unknown host"),
        pytest.param("/page", APP, id="route without programs"),
        pytest.param("/secret", APP, id="issuer that is not to be named"),
        pytest.param("/api/..%2fkeys", APP, id="several readings"),
        pytest.param("/api/%zz", APP, id="no path"),
        pytest.param("api", APP, id="no slash"),
    ],
)
def test_nothing_is_told_elsewhere(resources: ProtectedResources, path: str, host: str) -> None:
    assert asked(resources, path, host) is None


def test_the_web_listener_serves_it_to_anybody(resources: ProtectedResources) -> None:
    behind = LoginServices(
        login=cast("Any", None),
        hosts=HostResolver(is_known=lambda origin: str(origin) == APP),
        jwks=dict,
        resource_metadata=resources.metadata,
        client_address=lambda _request: None,
    )
    app = build_web_app(behind, base_path="/.auth")
    with TestClient(app, base_url=APP) as client:
        found = client.get(f"{WELL_KNOWN}/api")
        assert found.status_code == 200
        assert found.headers["content-type"] == "application/json"
        assert found.headers["access-control-allow-origin"] == "*"
        assert found.json()["resource"] == f"{APP}/api"
        assert client.get(WELL_KNOWN).json()["resource"] == APP
        assert client.get(f"{WELL_KNOWN}/a%2fpi").status_code == 404
        assert client.get(f"{WELL_KNOWN}/page").status_code == 404
        assert client.get(WELL_KNOWN, headers={"host": "evil.example"}).status_code == 404
        assert client.post(WELL_KNOWN).status_code == 405


@pytest.mark.parametrize(
    ("place", "path", "suffix"),
    [
        pytest.param({"prefix": "/api"}, "/api/x", "/api", id="prefix"),
        pytest.param({"path": "/api"}, "/api", "/api", id="path"),
        pytest.param({"regex": "/ap.*"}, "/api", "", id="regex"),
        pytest.param({"prefix": '/"x'}, "/%22x/y", "/%22x", id="quote"),
        pytest.param({}, "/api", "", id="whole host"),
    ],
)
async def test_who_brings_nothing_is_led_there(
    server: HostileProvider, place: dict[str, str], path: str, suffix: str
) -> None:
    host = "https://api.example.com"
    route = RouteSpec(
        from_=host,
        allow_any_authenticated_user=True,
        token_issuers=("ci",),
        **place,  # type: ignore[arg-type]
    )
    async with aclosing(build_token_fixture(server, routes=(API, route))) as home:
        reply = await home.authorizer_fixture.check(f"{host}{path}", JSON)
    assert reply.status == 401
    expected = f'Bearer resource_metadata="{host}{WELL_KNOWN}{suffix}"'
    assert header(reply, "www-authenticate") == expected
