"""The two other ways to sign in on several hosts: each for itself, or all with one cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import running_stage_of, sidecar_config
from tests.servers.proxy import APP_HOST, GROUP_HOST
from tests.servers.traefik import Traefik
from tests.servers.visitor import NAVIGATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider

pytestmark = pytest.mark.xdist_group("traefik")


@pytest.fixture
def stage_of(
    certificate: Certificate,
    provider: RunningProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[dict[str, Any]], AbstractContextManager[Stage]]:
    def start(config: dict[str, Any]) -> AbstractContextManager[Stage]:
        directory = tmp_path_factory.mktemp("stage")
        return running_stage_of(
            config, Traefik(), directory, certificate=certificate, provider=provider
        )

    return start


@pytest.fixture
def config(provider: RunningProvider, *, fast_lane: bool) -> dict[str, Any]:
    config = sidecar_config(provider.issuer, fast_lane=fast_lane)
    del config["server"]["auth_host"]
    return config


def test_each_host_has_its_own_callback_and_session(
    stage_of: Callable[[dict[str, Any]], AbstractContextManager[Stage]], config: dict[str, Any]
) -> None:
    with stage_of(config) as stage:
        visitor = stage.visitor()
        for host in (APP_HOST, GROUP_HOST):
            visitor.visited.clear()
            page = visitor.sign_in(f"https://{host}/page?a=1&b=2", "alice")
            assert (page.status, page.url) == (200, f"https://{host}/page?a=1&b=2")
            assert {urlsplit(url).hostname for url in visitor.visited} == {host, "localhost"}
        cookie = ("Cookie", visitor.cookie_line(APP_HOST))
        assert stage.send("GET", "/", [*NAVIGATION, cookie], host=GROUP_HOST).status == 302
        assert stage.send("GET", "/", [*NAVIGATION, cookie], host=APP_HOST).status == 200


def test_one_cookie_serves_all_hosts_of_a_domain(
    stage_of: Callable[[dict[str, Any]], AbstractContextManager[Stage]], config: dict[str, Any]
) -> None:
    config["sessions"] = {"cookie": {"name": "authz", "domain": "example.com"}}
    with stage_of(config) as stage:
        visitor = stage.visitor()
        page = visitor.sign_in(f"https://{APP_HOST}/page", "alice")
        assert page.url == f"https://{APP_HOST}/page"
        cookie = ("Cookie", visitor.cookie_line(APP_HOST))
        assert "__Secure-authz=" in cookie[1]
        stage.clear()
        answer = stage.send("GET", "/", [*NAVIGATION, cookie], host=GROUP_HOST)
        assert answer.status == 200
        assert stage.app.only().one("x-auth-user") == "alice"
        assert stage.app.only().one("cookie") is None
