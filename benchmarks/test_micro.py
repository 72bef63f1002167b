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

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.adapters.nginx import Nginx
from authz_sidecar.app.factory import build_application
from authz_sidecar.app.sessions import session_cookies
from authz_sidecar.check.responses import AuthorizationResult
from authz_sidecar.config.load import load_config
from authz_sidecar.core.types import Allow, CheckRequest, Session
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.policy import decide
from authz_sidecar.policy.partial_evaluation import partially_evaluate
from authz_sidecar.routes_from_config import compile_routes
from benchmarks import load as questions
from benchmarks.services import configuration
from benchmarks.session_seed import SCOPE, build_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from authz_sidecar.app.application import Application
    from authz_sidecar.fastpath.service import FastPath
    from authz_sidecar.routes.model import Route

ORIGIN = parse_origin(SCOPE)
NOW = 1_700_000_000.0
ALICE = build_identity(1)


@dataclass(frozen=True, kw_only=True)
class SignedInSidecar:
    """Somebody signed in with a sidecar of three routes, whose store is memory."""

    application: Application
    fast_path: FastPath
    cookie: str
    session: Session
    route: Route
    request_bytes: bytes

    @property
    def raw(self) -> SubRequest:
        line, *lines = self.request_bytes.decode().strip().split("\r\n")
        method, target, _ = line.split(" ")
        pairs = (each.partition(": ") for each in lines)
        headers = tuple((name.lower(), value) for name, _, value in pairs)
        return SubRequest(
            method=method, target=target, headers=headers, peer=ip_address("127.0.0.1")
        )

    @property
    def request(self) -> CheckRequest:
        return Nginx().parse(self.raw)


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInSidecar]:
    config = tmp_path_factory.mktemp("micro") / "authz.yaml"
    config.write_text(json.dumps(configuration("memory://")))
    application = build_application(
        load_config(config, env={}), metrics=Metrics(version="0", with_process_metrics=False)
    )
    with asyncio.Runner() as runner:
        created = runner.run(_sign_in(application))
        yield created
        runner.run(application.aclose())


async def _sign_in(application: Application) -> SignedInSidecar:
    application.near_cache.start()
    token, _ = await application.sessions.create(identity=ALICE, scope=SCOPE)
    session = await application.near_cache.find(token, scope=SCOPE, provider="corp")
    route = compile_routes(application.config).index.match(ORIGIN, "/api/users/7")
    if session is None or route is None or application.fast_path is None:
        raise RuntimeError("nobody lives here")
    cookie = f"__Host-authz={token}"
    request_bytes = questions.check_requests("/auth/nginx", [cookie])[3].encode()
    return SignedInSidecar(
        application=application,
        fast_path=application.fast_path,
        cookie=cookie,
        session=session,
        route=route,
        request_bytes=request_bytes,
    )


@pytest.fixture(scope="module", params=[10, 10_000], ids=lambda count: f"{count} routes")
def match(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("routes") / "authz.yaml"
    path.write_text(json.dumps(configuration("memory://", route_count=request.param)))
    return compile_routes(load_config(path, env={})).index.match


def test_route_match(benchmark: BenchmarkFixture, match: Callable[..., Route | None]) -> None:
    found = benchmark(match, ORIGIN, "/api/users/7")
    assert found is not None
    assert found.name == "r1"


def test_decide(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    decision = benchmark(decide, signed_in.route.policy, signed_in.request, ALICE, now=NOW)
    assert isinstance(decision, Allow)


def test_specialise(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    residual = benchmark(partially_evaluate, signed_in.route.policy, ALICE, now=NOW)
    assert isinstance(residual.decide(signed_in.request), Allow)


def test_decide_specialised(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    residual = partially_evaluate(signed_in.route.policy, ALICE, now=NOW)
    assert isinstance(benchmark(residual.decide, signed_in.request), Allow)


@pytest.mark.parametrize("others", [0, 20], ids=["ours alone", "among 20 others"])
def test_cookie_parse(benchmark: BenchmarkFixture, signed_in: SignedInSidecar, others: int) -> None:
    cookies = session_cookies(signed_in.application.config)
    lines = ("; ".join((*(f"other{n}=value{n}" for n in range(others)), signed_in.cookie)),)
    token = benchmark(cookies.read_token, lines, cookies.name_for("corp", ORIGIN))
    assert token == signed_in.cookie.partition("=")[2]


def test_near_cache_look(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    token, now = signed_in.cookie.partition("=")[2], time.time()
    look = signed_in.application.near_cache.lookup
    assert benchmark(look, token, scope=SCOPE, provider="corp", now=now) is not None


def test_parse(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    assert benchmark(Nginx().parse, signed_in.raw).path == "/api/users/7"


def test_answer_and_render(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    request, lane = signed_in.request, signed_in.fast_path
    judged = AuthorizationResult(
        decision=decide(signed_in.route.policy, request, ALICE, now=NOW),
        route=signed_in.route,
        session=signed_in.session,
    )

    def answer_and_render() -> int:
        return Nginx().render(lane.responses.response(request, judged, "request"), request).status

    assert benchmark(answer_and_render) == 200


def test_lane_reply(benchmark: BenchmarkFixture, signed_in: SignedInSidecar) -> None:
    written = benchmark(signed_in.fast_path.try_respond, signed_in.request_bytes)
    assert written is not None
    assert written.status == 200
