"""The page that Prometheus reads, of one process and of several added up."""

from __future__ import annotations

import json

from authz_sidecar.observe.metrics import Metrics, page
from authz_sidecar.observe.snapshot import added_up, from_json, to_json


def counted(*, allowed: int) -> Metrics:
    metrics = Metrics(version="1.2.3", process=False)
    for _ in range(allowed):
        metrics.checks(adapter="nginx", decision="allow", status=200).add(0.0002)
    metrics.wanted(generation=3)
    metrics.loaded(generation=2, at=1000.0, routes=7, refused=1)
    return metrics


def test_the_page() -> None:
    metrics = counted(allowed=2)
    metrics.sign_in(provider="corp", outcome="success")
    metrics.store_error()
    metrics.refusal(listener="check", status=431)
    lines = page(metrics.report()).decode().splitlines()
    for expected in (
        'authz_checks_total{adapter="nginx",decision="allow",status="200"} 2.0',
        'authz_check_duration_seconds_bucket{adapter="nginx",le="0.0001"} 0.0',
        'authz_check_duration_seconds_bucket{adapter="nginx",le="0.00025"} 2.0',
        'authz_check_duration_seconds_count{adapter="nginx"} 2.0',
        'authz_sign_ins_total{outcome="success",provider="corp"} 1.0',
        "authz_store_errors_total 1.0",
        'authz_connections_refused_total{listener="check",status="431"} 1.0',
        "authz_config_generation 2.0",
        "authz_config_generation_wanted 3.0",
        "authz_config_last_reload_successful 1.0",
        "authz_config_last_reload_success_timestamp_seconds 1000.0",
        "authz_routes 7.0",
    ):
        assert expected in lines
    assert not any("_created" in line for line in lines)


def test_a_failed_reload_keeps_the_generation() -> None:
    metrics = counted(allowed=0)
    metrics.reload_failed()
    text = page(metrics.report()).decode()
    assert "authz_config_last_reload_successful 0.0" in text
    assert "authz_config_generation 2.0" in text


def test_workers_add_up_and_their_gauges_do_not() -> None:
    parent = counted(allowed=0)
    travelled = [
        from_json(json.loads(json.dumps(to_json(counted(allowed=count).report()))))
        for count in (3, 4)
    ]
    lines = page(added_up(parent.report(), travelled)).decode().splitlines()
    assert 'authz_checks_total{adapter="nginx",decision="allow",status="200"} 7.0' in lines
    assert 'authz_check_duration_seconds_bucket{adapter="nginx",le="+Inf"} 7.0' in lines
    assert "authz_config_generation 2.0" in lines
    assert "authz_routes 7.0" in lines
