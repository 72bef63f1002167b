"""Ratios, targets and plans: the arithmetic between what is measured and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import Assumptions, Measurements, plan_capacity
from benchmarks.comparison import Comparison, Round
from benchmarks.peers import parse_peers, slug
from benchmarks.targets import Claim, Verdict, evaluate_claims

MEASURED = Measurements(
    checks_per_core=50_000,
    misses_per_core=4000,
    kib_per_cached_session=3,
    redis_bytes=1000,
    record_bytes=250,
    invalidation_bytes=60,
    invalidation_seconds=16e-6,
)


def one_round(per_second: float) -> Round:
    return Round(
        per_second=per_second,
        per_cpu_second=0.0,
        core_share=0.0,
        p50_ms=1.0,
        p99_ms=2.0,
        refused_share=0.0,
    )


def test_a_ratio_is_taken_within_a_round() -> None:
    """A machine that was twice as slow for a round was so for both."""
    compared = Comparison(
        name="checks",
        rounds={
            "a": [one_round(100), one_round(50), one_round(100)],
            "b": [one_round(200), one_round(100), one_round(200)],
        },
    )
    assert compared.ratio("a", "b") == 0.5


def test_what_is_not_known_of_a_service_has_no_ratio() -> None:
    compared = Comparison(name="checks", rounds={"a": [one_round(1)], "b": [one_round(1)]})
    assert compared.ratio("a", "b", "per_cpu_second") is None


@pytest.mark.parametrize(
    ("least", "most", "value", "verdict"),
    [
        pytest.param(2.0, None, 2.0, Verdict.MET, id="exactly enough"),
        pytest.param(2.0, None, 1.9, Verdict.MISSED, id="too little"),
        pytest.param(None, 2.0, 2.1, Verdict.MISSED, id="too much"),
        pytest.param(0.9, 1.1, 1.0, Verdict.MET, id="between"),
        pytest.param(0.9, 1.1, 1.2, Verdict.MISSED, id="beyond"),
        pytest.param(None, None, 1.2, Verdict.REPORTED, id="no target"),
        pytest.param(2.0, None, None, Verdict.NOT_MEASURED, id="not measured"),
    ],
)
def test_a_target_is_met_or_not(
    least: float | None, most: float | None, value: float | None, verdict: Verdict
) -> None:
    claim = Claim(text="it", name="it", minimum=least, maximum=most)
    [found] = evaluate_claims((claim,), {"it": value})
    assert found.verdict is verdict


@given(
    checks=st.integers(10_000, 2_000_000),
    sessions=st.integers(10_000, 20_000_000),
    sticky=st.booleans(),
)
def test_a_plan_keeps_to_what_it_assumes(checks: int, sessions: int, *, sticky: bool) -> None:
    assumed = Assumptions(checks_per_second=checks, sessions=sessions)
    found = plan_capacity(MEASURED, assumed, sticky=sticky)
    assert found.core_share <= assumed.max_utilization
    assert 0 <= found.hit_ratio <= 1
    assert found.near_gib_per_replica <= assumed.near_cache_gib * assumed.workers_per_replica + 1e-9
    assert found.redis_primaries * assumed.redis_gib >= found.redis_gib
    assert found.workers * MEASURED.checks_per_core * assumed.max_utilization >= checks * 0.999


@given(sessions=st.integers(100_000, 20_000_000))
def test_sessions_that_stay_with_a_replica_ask_redis_less(sessions: int) -> None:
    assumed = Assumptions(sessions=sessions)
    one, other = (plan_capacity(MEASURED, assumed, sticky=sticky) for sticky in (True, False))
    assert one.redis_commands_per_second <= other.redis_commands_per_second
    assert one.replicas <= other.replicas


def test_more_news_than_a_core_can_hear_has_no_plan() -> None:
    with pytest.raises(ArithmeticError):
        plan_capacity(replace(MEASURED, invalidation_seconds=1.0), Assumptions(), sticky=True)


def test_peers_are_named_with_their_addresses() -> None:
    text = "oauth2-proxy=http://127.0.0.1:4180/oauth2/auth other=http://localhost"
    found = [(it.name, it.host, it.port, it.path) for it in parse_peers({"AUTHZ_BENCH_PEER": text})]
    assert found == [
        ("oauth2-proxy", "127.0.0.1", 4180, "/oauth2/auth"),
        ("other", "localhost", 80, "/"),
    ]
    assert parse_peers({}) == []
    assert slug("oauth2-proxy 7.1") == "oauth2_proxy_7_1"


@pytest.mark.parametrize("text", ["http://127.0.0.1", "a=https://127.0.0.1/", "a=127.0.0.1:80"])
def test_a_peer_that_cannot_be_asked_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="is not `name=http://HOST:PORT/PATH`"):
        parse_peers({"AUTHZ_BENCH_PEER": text})
