"""Three providers of independent origin, through a real proxy: signing in, keys that change, tokens
that run out, and every way of being signed out by the provider."""

from __future__ import annotations

import contextlib
import html
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.e2e.conftest import running_stage_of, sidecar_config
from tests.servers.providers import (
    CLIENT_ID,
    running_certified_provider,
    running_django_provider,
    running_mock_provider,
)
from tests.servers.proxy import APP_HOST, AUTH_HOST, GROUP_HOST
from tests.servers.sidecar import free_ports
from tests.servers.traefik import Traefik
from tests.servers.visitor import NAVIGATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider
    from tests.servers.redis import RedisServer
    from tests.servers.visitor import Page, Visitor

    StageOf = Callable[..., AbstractContextManager[Stage]]

pytestmark = pytest.mark.xdist_group("traefik")

ORIGINS = (f"https://{AUTH_HOST}", f"https://{APP_HOST}")
PAGE = f"https://{APP_HOST}/page?a=1&b=%26"
TOKEN_SECONDS = 4
PROVIDERS: dict[str, Callable[..., AbstractContextManager[RunningProvider]]] = {
    "mock": running_mock_provider,
    "certified": lambda directory, **more: running_certified_provider(
        directory, redirect_origins=ORIGINS, **more
    ),
    "django": running_django_provider,
}


@pytest.fixture
def stage_of(
    certificate: Certificate,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    fast_lane: bool,
) -> StageOf:
    @contextlib.contextmanager
    def start(kind: str, *, changes: dict[str, Any] | None = None, **more: Any) -> Iterator[Stage]:
        directory = tmp_path_factory.mktemp("stage")
        with PROVIDERS[kind](directory, **more) as provider:
            config: dict[str, Any] = sidecar_config(provider.issuer, fast_lane=fast_lane)
            config["sessions"] = {"store": redis_server.url}
            if kind != "mock":  # which tells groups unasked, and knows no such scope
                config["identity_providers"]["corp"]["scopes"].append("groups")
            config["server"] |= changes or {}
            if web := config["server"].get("web_listen"):
                # The provider's own requests come here, without a proxy.
                own = {"name": "own", "from": f"http://localhost:{web.rpartition(':')[2]}"}
                config["routes"].append({**own, "allow_any_authenticated_user": True})
            with running_stage_of(
                config, Traefik(), directory, certificate=certificate, provider=provider
            ) as stage:
                yield stage

    return start


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_person_signs_in_and_again_after_the_keys_have_changed(
    stage_of: StageOf, kind: str
) -> None:
    with stage_of(kind) as stage:
        for person, groups in (("alice", "admins,staff"), ("bob", "staff")):
            stage.clear()
            page = stage.visitor().sign_in(PAGE, person)
            assert (page.status, page.url) == (200, PAGE)
            received = stage.app.only()
            assert received.one("x-auth-user") == person
            assert received.one("x-auth-email") == f"{person}@example.com"
            assert received.one("x-auth-groups") == groups
            stage.provider.restart()


@pytest.mark.parametrize("kind", ["certified", "django"])
def test_a_session_outlives_its_access_token(stage_of: StageOf, kind: str) -> None:
    with stage_of(kind, access_token_seconds=TOKEN_SECONDS) as stage:
        cookie = stage.cookie("alice")
        deadline = time.monotonic() + 20
        while not _refreshes(stage) and time.monotonic() < deadline:
            assert stage.send("GET", "/", [*NAVIGATION, cookie]).status == 200
            time.sleep(0.2)
        assert _refreshes(stage) == 1
        stage.clear()
        assert stage.send("GET", "/", [*NAVIGATION, cookie]).status == 200
        assert stage.app.only().one("x-auth-groups") == "admins,staff"


@pytest.mark.parametrize("kind", PROVIDERS)
def test_signing_out_here_signs_out_at_the_provider(stage_of: StageOf, kind: str) -> None:
    with stage_of(kind) as stage:
        visitor = stage.visitor()
        visitor.sign_in(PAGE, "alice")
        asking = visitor.browse(f"https://{APP_HOST}/.auth/sign_out")
        action, fields = asking.form()
        done = visitor.post(action, fields | {"scope": "everywhere"}, shown=asking)
        confirming = visitor.follow(done)
        assert confirming.host.startswith("localhost:"), confirming
        last = _confirmed(visitor, confirming)
        assert last.url.startswith(f"https://{AUTH_HOST}/.auth/signed_out"), last
        assert visitor.browse(PAGE).host.startswith("localhost:")


def test_signing_out_at_the_provider_ends_sessions_by_its_back_channel(stage_of: StageOf) -> None:
    [port] = free_ports(1)
    registered = {
        "backchannel_logout_uri": f"http://localhost:{port}/.auth/backchannel-logout",
        "backchannel_logout_session_required": True,
    }
    with stage_of("certified", changes={"web_listen": f"127.0.0.1:{port}"}, **registered) as stage:
        visitor, elsewhere = stage.visitor(), stage.visitor()
        for each in (visitor, elsewhere):
            each.sign_in(PAGE, "alice")
        visitor.browse(f"https://{GROUP_HOST}/")
        kept = _cookies(visitor)
        _confirmed(visitor, _logout_page(stage, visitor))
        assert _signed_in(stage, kept) == [False, False], stage.provider.log()
        assert _signed_in(stage, {APP_HOST: elsewhere.cookie_line(APP_HOST)}) == [True]


def test_signing_out_at_the_provider_ends_sessions_by_a_frame(stage_of: StageOf) -> None:
    registered = {
        "frontchannel_logout_uri": f"https://{AUTH_HOST}/.auth/frontchannel-logout",
        # These give ID tokens their `sid`; nobody confirms the logout, so nothing is sent there.
        "backchannel_logout_uri": f"https://{AUTH_HOST}/.auth/backchannel-logout",
        "backchannel_logout_session_required": True,
    }
    with stage_of("certified", **registered) as stage:
        visitor, elsewhere = stage.visitor(), stage.visitor()
        for each in (visitor, elsewhere):
            each.sign_in(PAGE, "alice")
        visitor.browse(f"https://{GROUP_HOST}/")
        kept = _cookies(visitor)
        [frame] = re.findall(r'<iframe src="([^"]+)"', _logout_page(stage, visitor).answer.text)
        # As browsers send it today: without the cookies of the site in the frame.
        shown = stage.visitor().get(html.unescape(frame))
        assert shown.status == 200
        assert _signed_in(stage, kept) == [False, False], stage.sidecar.log()
        assert _signed_in(stage, {APP_HOST: elsewhere.cookie_line(APP_HOST)}) == [True]


def _refreshes(stage: Stage) -> int:
    return stage.sidecar.log().count("refreshed session")


def _cookies(visitor: Visitor) -> dict[str, str]:
    return {host: visitor.cookie_line(host) for host in (APP_HOST, GROUP_HOST)}


def _signed_in(stage: Stage, cookies: dict[str, str]) -> list[bool]:
    return [
        stage.send("GET", "/", [*NAVIGATION, ("Cookie", line)], host=host).status == 200
        for host, line in cookies.items()
    ]


def _logout_page(stage: Stage, visitor: Visitor) -> Page:
    """The provider's own, to which nobody sent the browser."""
    issuer = stage.provider.issuer
    page = visitor.browse(f"{issuer}/session/end?{urlencode({'client_id': CLIENT_ID})}")
    assert page.status == 200, page
    return page


def _confirmed(visitor: Visitor, page: Page) -> Page:
    action, fields = page.form()
    return visitor.follow(visitor.post(action, fields | {"logout": "yes", "allow": "yes"}))
