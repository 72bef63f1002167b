"""One line a check: what it says, what it never says, and how loud it is."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.check.authorizer import CheckRecord
from authz_sidecar.core.types import CheckRequest, Identity, Session, SessionKind
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.observe.check_recorder import CheckRecorder
from authz_sidecar.observe.formatters import JsonFormatter
from authz_sidecar.observe.metrics import Metrics, render

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = CheckRequest(
    adapter="traefik",
    method="GET",
    origin=parse_origin("https://app.example.com"),
    path="/reports",
    query="token=secret-in-query",
    headers=(("cookie", "__Host-authz=secret-cookie"), ("authorization", "Bearer secret-token")),
)
SESSION = Session(
    public_id="handle",
    kind=SessionKind.SIGN_IN,
    scope="https://app.example.com",
    identity=Identity(
        provider="corp",
        issuer="https://idp",
        subject="alice",
        email="alice@example.com",
        groups=("eng", "ops"),
        claims={"phone": "secret-claim"},
    ),
    created_at=1.0,
    expires_at=2.0,
)


def check(**changes: Any) -> CheckRecord:
    usual: dict[str, Any] = {
        "adapter": "traefik",
        "outcome": "allow",
        "status": 200,
        "reasons": ("user-ok",),
        "seconds": 0.0015,
        "request_id": "r1",
        "request": REQUEST,
        "route": "app",
        "session": SESSION,
    }
    return CheckRecord(**{**usual, **changes})


@pytest.fixture
def recorded(caplog: pytest.LogCaptureFixture) -> Callable[[CheckRecord], dict[str, Any]]:
    caplog.set_level(logging.INFO)

    def record(check: CheckRecord) -> dict[str, Any]:
        CheckRecorder(metrics=Metrics(version="", with_process_metrics=False)).record(check)
        line: dict[str, Any] = json.loads(JsonFormatter().format(caplog.records[-1]))
        return line

    return record


def test_groups_are_all_of_them_or_none(
    recorded: Callable[[CheckRecord], dict[str, Any]],
) -> None:
    many = replace(SESSION.identity, groups=tuple(f"group-{at}" for at in range(500)))
    line = recorded(check(session=replace(SESSION, identity=many)))
    assert "groups" not in line
    assert line["user"] == "alice"


def test_an_allowed_check(recorded: Callable[[CheckRecord], dict[str, Any]]) -> None:
    line = recorded(check())
    assert line.pop("time")
    assert line == {
        "level": "info",
        "message": "authorize check",
        "logger": "authz_sidecar.check",
        "request-id": "r1",
        "check": "traefik",
        "decision": "allow",
        "reasons": "user-ok",
        "status": 200,
        "method": "GET",
        "host": "app.example.com",
        "path": "/reports",
        "route-id": "app",
        "session-id": "handle",
        "user": "alice",
        "email": "alice@example.com",
        "provider": "corp",
        "groups": ["eng", "ops"],
        "duration-ms": 1.5,
    }


def test_the_header_that_it_was_denied_for_is_named(
    recorded: Callable[[CheckRecord], dict[str, Any]],
) -> None:
    line = recorded(
        check(outcome="deny", status=403, reasons=("ambiguous-header",), header="x.auth.user")
    )
    assert (line["reasons"], line["header"]) == ("ambiguous-header", "x.auth.user")


def test_no_secret_is_written(recorded: Callable[[CheckRecord], dict[str, Any]]) -> None:
    assert "secret" not in json.dumps(recorded(check()))


@pytest.mark.parametrize(("status", "level"), [(400, "warning"), (403, "warning"), (503, "error")])
def test_trouble_names_its_cause(
    recorded: Callable[[CheckRecord], dict[str, Any]], status: int, level: str
) -> None:
    line = recorded(
        check(
            outcome="refused",
            status=status,
            request=None,
            route=None,
            session=None,
            error="expected one `x-forwarded-uri` header, got 0",
        )
    )
    assert line["level"] == level
    assert "x-forwarded-uri" in line["error"]


def test_each_check_is_counted_once() -> None:
    metrics = Metrics(version="", with_process_metrics=False)
    CheckRecorder(metrics=metrics).record(check())
    text = render(metrics.snapshot()).decode()
    assert 'authz_checks_total{adapter="traefik",decision="allow",status="200"} 1.0' in text


def test_what_passed_is_only_counted_where_nobody_logs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics(version="", with_process_metrics=False)
    passed = CheckRecorder(metrics=metrics).allowed_counter("traefik")
    with caplog.at_level(logging.INFO, logger="authz_sidecar.check"):
        assert not passed(0.001)
    with caplog.at_level(logging.WARNING, logger="authz_sidecar.check"):
        assert passed(0.001)
    text = render(metrics.snapshot()).decode()
    assert 'authz_checks_total{adapter="traefik",decision="allow",status="200"} 1.0' in text


def test_what_passes_again_is_recorded_as_it_was_the_first_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics(version="", with_process_metrics=False)
    recorder = CheckRecorder(metrics=metrics)
    recorder.record(check(seconds=0.002, request_id="r2"))
    recorder.repeat(check())(0.002, "r2")
    once, again = (JsonFormatter().format(record) for record in caplog.records)
    assert once.partition('"level"')[2] == again.partition('"level"')[2]
    text = render(metrics.snapshot()).decode()
    assert 'authz_checks_total{adapter="traefik",decision="allow",status="200"} 2.0' in text


def test_what_passes_again_is_counted_where_nobody_logs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics(version="", with_process_metrics=False)
    with caplog.at_level(logging.WARNING, logger="authz_sidecar.check"):
        CheckRecorder(metrics=metrics).repeat(check())(0.002, "r2")
    assert not caplog.records
    text = render(metrics.snapshot()).decode()
    assert 'authz_checks_total{adapter="traefik",decision="allow",status="200"} 1.0' in text


def test_credentials_of_a_requests_own_are_counted_by_kind_and_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics(version="", with_process_metrics=False)
    recorder = CheckRecorder(metrics=metrics)
    recorder.record(check(credential="token"))
    recorder.record(check(credential="bearer", outcome="refused", status=401, session=None))
    recorder.record(check())
    told = render(metrics.snapshot()).decode()
    assert 'authz_credentials_total{kind="token",outcome="allow"} 1.0' in told
    assert 'authz_credentials_total{kind="bearer",outcome="refused"} 1.0' in told
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert [line.get("credential") for line in lines] == ["token", "bearer", None]
