"""A provider or a store that is away: the server starts, says so, refuses, and recovers by itself.
And what a reload must not lose."""

from __future__ import annotations

import http.client
import json
import signal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.servers.providers import CLIENT_ID, CLIENT_SECRET, running_mock_provider
from tests.servers.sidecar import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.providers import RunningProvider
    from tests.servers.redis import RedisServer, RedisStarter
    from tests.servers.sidecar import Sidecar, SidecarStarter

APP = "app.example.com"
DOCS = "docs.example.com"
Answer = tuple[int, http.client.HTTPMessage, bytes]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_mock_provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


def config(issuer: str, *, store: str = "memory://") -> dict[str, Any]:
    return {
        "server": {"adapters": ["traefik"]},
        "sessions": {"store": store},
        "identity_providers": {
            "corp": {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        },
        "routes": [
            {"name": "app", "from": f"https://{APP}", "allow_any_authenticated_user": True},
            {
                "name": "docs",
                "from": f"https://{DOCS}",
                "allow_public_unauthenticated_access": True,
            },
        ],
    }


def ask(
    where: Listener, method: str, target: str, headers: dict[str, str], body: str | None = None
) -> Answer:
    connection = http.client.HTTPConnection(*where, timeout=10)
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def check(sidecar: Sidecar, host: str, *, cookie: str = "") -> Answer:
    headers = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": host,
        "X-Forwarded-Uri": "/",
        "X-Forwarded-For": "203.0.113.9",
        "Accept": "text/html",
        "Cookie": cookie,
    }
    return ask(sidecar.check, "GET", "/auth/traefik", headers)


def sign_in(sidecar: Sidecar, provider: RunningProvider, *, begin: str | None = None) -> str:
    """The cookie of a new session of alice. Begins where a check says, unless told otherwise."""
    begin = begin or check(sidecar, APP)[1]["location"]
    cookies: dict[str, str] = {}

    def visit(url: str) -> http.client.HTTPMessage:
        parts = urlsplit(url)
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        sent = {"Host": parts.netloc, "X-Forwarded-Proto": "https", "Cookie": cookie}
        _, got, body = ask(sidecar.web, "GET", f"{parts.path}?{parts.query}", sent)
        for line in got.get_all("set-cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            cookies[name] = value
        assert "location" in got, body
        return got

    authorize = urlsplit(visit(begin)["location"])
    _, headers, _ = ask(
        Listener(authorize.hostname or "", provider.port),
        "POST",
        f"{authorize.path}?{authorize.query}",
        {"Content-Type": "application/x-www-form-urlencoded"},
        urlencode({"sub": "alice"}),
    )
    visit(headers["location"])
    return f"__Host-authz={cookies['__Host-authz']}"


def missing(sidecar: Sidecar) -> dict[str, str]:
    status, body = sidecar.get_ops("/readyz")
    answer = json.loads(body)
    assert (status == 200) is answer["ready"]
    found: dict[str, str] = answer.get("missing", {})
    return found


def test_sign_in_and_what_is_counted(
    start_sidecar: SidecarStarter, provider: RunningProvider
) -> None:
    sidecar = start_sidecar(config(provider.issuer))
    cookie = sign_in(sidecar, provider)
    status, headers, body = check(sidecar, APP, cookie=cookie)
    assert (status, body) == (200, b"")
    assert headers["x-auth-email"] == "alice@example.com"
    metrics = sidecar.get_ops("/metrics")[1].decode()
    assert 'authz_checks_total{adapter="traefik",decision="allow",status="200"} 1.0' in metrics
    assert 'authz_checks_total{adapter="traefik",decision="sign-in",status="302"} 1.0' in metrics
    assert 'authz_sign_ins_total{outcome="success",provider="corp"} 1.0' in metrics
    assert cookie.partition("=")[2] not in sidecar.log()


def test_sessions_in_memory_survive_a_reload(
    start_sidecar: SidecarStarter, provider: RunningProvider
) -> None:
    before = config(provider.issuer)
    sidecar = start_sidecar(before)
    cookie = sign_in(sidecar, provider)
    after = config(provider.issuer)
    after["routes"][0]["allow_any_authenticated_user"] = False
    after["routes"][0]["allowed_users"] = ["bob@example.com"]
    sidecar.write_config(after)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: check(sidecar, APP, cookie=cookie)[0] == 403)
    sidecar.write_config(before)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: check(sidecar, APP, cookie=cookie)[0] == 200)
    assert missing(sidecar) == {}  # nor was the provider asked anew


def test_a_provider_that_comes_up_later(start_sidecar: SidecarStarter, tmp_path: Path) -> None:
    with running_mock_provider(tmp_path) as provider:
        provider.stop()
        sidecar = start_sidecar(config(provider.issuer), wait_for="/healthz")
        sidecar.wait_until(lambda: "`corp` is out of reach" in sidecar.log())
        assert missing(sidecar).keys() == {"identity provider `corp`"}
        assert check(sidecar, APP)[0] == 503
        assert check(sidecar, DOCS)[0] == 200

        provider.start()
        sidecar.wait_until(lambda: missing(sidecar) == {})
        assert check(sidecar, APP)[0] == 302
        assert sidecar.log().count("`corp` is out of reach") == 1
        assert "`corp` answers again" in sidecar.log()

        provider.stop()
        assert check(sidecar, APP)[0] == 302  # whoever is signed in is not concerned
        assert missing(sidecar) == {}


def test_a_store_that_comes_up_later_and_goes_away_again(
    start_sidecar: SidecarStarter, provider: RunningProvider, start_redis: RedisStarter
) -> None:
    redis = start_redis()
    url = redis.url
    redis.stop()
    sidecar = start_sidecar(config(provider.issuer, store=url), wait_for="/healthz")
    sidecar.wait_until(lambda: "session store" in missing(sidecar))
    somebody = "__Host-authz=" + "A" * 43
    assert check(sidecar, APP, cookie=somebody)[0] == 503
    assert check(sidecar, DOCS)[0] == 200
    told = "checks are answered with 503 until it does"
    sidecar.wait_until(lambda: told in sidecar.log())
    assert sidecar.log().count(told) == 1

    redis.start()
    sidecar.wait_until(lambda: missing(sidecar) == {})
    cookie = sign_in(sidecar, provider)
    assert check(sidecar, APP, cookie=cookie)[0] == 200
    sidecar.wait_until(lambda: "the session store answers again" in sidecar.log())

    redis.stop()
    # What is in memory may serve until the worker hears that the connection is gone.
    sidecar.wait_until(lambda: check(sidecar, APP, cookie=cookie)[0] == 503)
    status, headers, _ = check(sidecar, APP, cookie=cookie)
    assert status == 503
    assert "set-cookie" not in headers
    sidecar.wait_until(lambda: "session store" in missing(sidecar))
    redis.start()
    sidecar.wait_until(lambda: missing(sidecar) == {})


def test_workers_share_sessions(
    start_sidecar: SidecarStarter, provider: RunningProvider, redis_server: RedisServer
) -> None:
    several = config(provider.issuer, store=redis_server.url)
    several["server"]["workers"] = 2
    sidecar = start_sidecar(several)
    cookie = sign_in(sidecar, provider)
    for _ in range(10):
        assert check(sidecar, APP, cookie=cookie)[0] == 200
    metrics = sidecar.get_ops("/metrics")[1].decode()
    assert 'authz_checks_total{adapter="traefik",decision="allow",status="200"} 10.0' in metrics
    assert 'authz_sign_ins_total{outcome="success",provider="corp"} 1.0' in metrics
