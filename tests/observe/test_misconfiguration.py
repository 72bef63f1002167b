"""A proxy that is configured wrongly is named once, then once a minute, whatever it sends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.check.authorizer import CheckRecord
from authz_sidecar.errors import ProxyMisconfigured
from authz_sidecar.observe.check_recorder import CheckRecorder
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.observe.misconfiguration import MisconfigurationLog

if TYPE_CHECKING:
    import pytest

MESSAGE = "the annotation `auth-url` has to end in `x`"


def refused(adapter: str = "ingress-nginx") -> CheckRecord:
    return CheckRecord(
        adapter=adapter,
        outcome="refused",
        status=403,
        reasons=(ProxyMisconfigured.reason,),
        seconds=0.001,
        request_id="r1",
        error=MESSAGE,
    )


def test_one_line_a_minute_for_each_adapter_and_each_check_in_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 1000.0
    recorder = CheckRecorder(
        metrics=Metrics(version="", with_process_metrics=False),
        misconfigurations=MisconfigurationLog(clock=lambda: now),
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(70):
            recorder.record(refused())
            now += 1
        recorder.record(refused("another"))
    assert caplog.messages == [
        f"requests through ingress-nginx are refused: {MESSAGE}",
        f"requests through ingress-nginx are refused: {MESSAGE}",
        f"requests through another are refused: {MESSAGE}",
    ]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert [record.__dict__["fields"]["refused"] for record in caplog.records] == [1, 60, 1]


def test_the_check_itself_is_logged_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    recorder = CheckRecorder(metrics=Metrics(version="", with_process_metrics=False))
    with caplog.at_level(logging.INFO):
        recorder.record(refused())
    line, check = caplog.records
    assert line.levelno == logging.ERROR
    assert (check.levelno, check.getMessage()) == (logging.INFO, "authorize check")
    assert check.__dict__["fields"]["error"] == MESSAGE
    assert check.__dict__["fields"]["reasons"] == "proxy-misconfigured"
