"""The page that Prometheus reads, of one process and of several added up."""

from __future__ import annotations

import json

from authz_sidecar.observe.metrics import Metrics, render
from authz_sidecar.observe.snapshot import from_json, merge, to_json


def counted(*, allowed: int) -> Metrics:
    metrics = Metrics(version="1.2.3", with_process_metrics=False)
    for _ in range(allowed):
        metrics.check_counter(adapter="nginx", decision="allow", status=200).observe(0.0002)
    metrics.set_target_generation(generation=3)
    metrics.set_loaded(generation=2, loaded_at=1000.0, routes=7, refused_routes=1)
    return metrics


def test_the_page() -> None:
    metrics = counted(allowed=2)
    metrics.count_sign_in(provider="corp", outcome="success")
    metrics.count_store_error()
    metrics.count_refused_connection(listener="check", status=431)
    lines = render(metrics.snapshot()).decode().splitlines()
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
    metrics.set_reload_failed()
    text = render(metrics.snapshot()).decode()
    assert "authz_config_last_reload_successful 0.0" in text
    assert "authz_config_generation 2.0" in text


def test_workers_add_up_and_their_gauges_do_not() -> None:
    parent = counted(allowed=0)
    travelled = [
        from_json(json.loads(json.dumps(to_json(counted(allowed=count).snapshot()))))
        for count in (3, 4)
    ]
    lines = render(merge(parent.snapshot(), travelled)).decode().splitlines()
    assert 'authz_checks_total{adapter="nginx",decision="allow",status="200"} 7.0' in lines
    assert 'authz_check_duration_seconds_bucket{adapter="nginx",le="+Inf"} 7.0' in lines
    assert "authz_config_generation 2.0" in lines
    assert "authz_routes 7.0" in lines
