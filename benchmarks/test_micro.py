"""What the steps of a check cost, one by one: `make bench-micro`. The tests run each of them once,
untimed, so that they keep working."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.adapters.base import RawRequest
from authz_sidecar.adapters.nginx import Nginx
from authz_sidecar.app.factory import build
from authz_sidecar.app.sessions import cookies as session_cookies
from authz_sidecar.check.responses import Judgement
from authz_sidecar.config.load import load
from authz_sidecar.core.types import Allow, CheckRequest, Session
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.policy import decide
from authz_sidecar.policy.partial_evaluation import specialise
from authz_sidecar.routes_from_config import ruleset
from benchmarks import load as questions
from benchmarks.services import configuration
from benchmarks.session_seed import SCOPE, person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from authz_sidecar.app.application import Application
    from authz_sidecar.fastpath.service import Lane
    from authz_sidecar.routes.model import Route

ORIGIN = parse_origin(SCOPE)
NOW = 1_700_000_000.0
ALICE = person(1)


@dataclass(frozen=True, kw_only=True)
class Home:
    """Somebody signed in with a sidecar of three routes, whose store is memory."""

    application: Application
    lane: Lane
    cookie: str
    session: Session
    route: Route
    asked: bytes

    @property
    def raw(self) -> RawRequest:
        line, *lines = self.asked.decode().strip().split("\r\n")
        method, target, _ = line.split(" ")
        pairs = (each.partition(": ") for each in lines)
        headers = tuple((name.lower(), value) for name, _, value in pairs)
        return RawRequest(
            method=method, target=target, headers=headers, peer=ip_address("127.0.0.1")
        )

    @property
    def request(self) -> CheckRequest:
        return Nginx().parse(self.raw)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    config = tmp_path_factory.mktemp("micro") / "authz.yaml"
    config.write_text(json.dumps(configuration("memory://")))
    application = build(load(config, env={}), metrics=Metrics(version="0", process=False))
    with asyncio.Runner() as runner:
        home = runner.run(_inhabited(application))
        yield home
        runner.run(application.aclose())


async def _inhabited(application: Application) -> Home:
    application.near.start()
    token, _ = await application.sessions.create(identity=ALICE, scope=SCOPE)
    session = await application.near.find(token, scope=SCOPE, provider="corp")
    route = ruleset(application.config).index.match(ORIGIN, "/api/users/7")
    if session is None or route is None or application.lane is None:
        raise RuntimeError("nobody lives here")
    cookie = f"__Host-authz={token}"
    asked = questions.checks("/auth/nginx", [cookie])[3].encode()
    return Home(
        application=application,
        lane=application.lane,
        cookie=cookie,
        session=session,
        route=route,
        asked=asked,
    )


@pytest.fixture(scope="module", params=[10, 10_000], ids=lambda count: f"{count} routes")
def match(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("routes") / "authz.yaml"
    path.write_text(json.dumps(configuration("memory://", route_count=request.param)))
    return ruleset(load(path, env={})).index.match


def test_route_match(benchmark: BenchmarkFixture, match: Callable[..., Route | None]) -> None:
    found = benchmark(match, ORIGIN, "/api/users/7")
    assert found is not None
    assert found.name == "r1"


def test_decide(benchmark: BenchmarkFixture, home: Home) -> None:
    decision = benchmark(decide, home.route.policy, home.request, ALICE, now=NOW)
    assert isinstance(decision, Allow)


def test_specialise(benchmark: BenchmarkFixture, home: Home) -> None:
    residual = benchmark(specialise, home.route.policy, ALICE, now=NOW)
    assert isinstance(residual.decide(home.request), Allow)


def test_decide_specialised(benchmark: BenchmarkFixture, home: Home) -> None:
    residual = specialise(home.route.policy, ALICE, now=NOW)
    assert isinstance(benchmark(residual.decide, home.request), Allow)


@pytest.mark.parametrize("others", [0, 20], ids=["ours alone", "among 20 others"])
def test_cookie_parse(benchmark: BenchmarkFixture, home: Home, others: int) -> None:
    cookies = session_cookies(home.application.config)
    lines = ("; ".join((*(f"other{n}=value{n}" for n in range(others)), home.cookie)),)
    token = benchmark(cookies.read, lines, cookies.name_for("corp", ORIGIN))
    assert token == home.cookie.partition("=")[2]


def test_near_cache_look(benchmark: BenchmarkFixture, home: Home) -> None:
    token, now = home.cookie.partition("=")[2], time.time()
    look = home.application.near.look
    assert benchmark(look, token, scope=SCOPE, provider="corp", now=now) is not None


def test_parse(benchmark: BenchmarkFixture, home: Home) -> None:
    assert benchmark(Nginx().parse, home.raw).path == "/api/users/7"


def test_answer_and_render(benchmark: BenchmarkFixture, home: Home) -> None:
    request, lane = home.request, home.lane
    judged = Judgement(
        decision=decide(home.route.policy, request, ALICE, now=NOW),
        route=home.route,
        session=home.session,
    )

    def answer_and_render() -> int:
        return Nginx().render(lane.answers.answer(request, judged, "request"), request).status

    assert benchmark(answer_and_render) == 200


def test_lane_reply(benchmark: BenchmarkFixture, home: Home) -> None:
    written = benchmark(home.lane.reply, home.asked)
    assert written is not None
    assert written.status == 200
