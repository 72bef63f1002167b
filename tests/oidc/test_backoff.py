"""Patience with somebody who does not answer: how often they are asked, and what the log hears."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.oidc.backoff import MAX_SECONDS, BackOff

if TYPE_CHECKING:
    import pytest


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def seconds_waited(back_off: BackOff, clock: Clock) -> float:
    began = clock.now
    while back_off.is_backing_off:
        clock.now += 0.5
    return clock.now - began


def test_whoever_does_not_answer_is_asked_ever_more_seldom() -> None:
    clock = Clock()
    back_off = BackOff("they", clock=clock)
    assert not back_off.is_backing_off
    waited = []
    for _ in range(6):
        back_off.failed("gone")
        waited.append(seconds_waited(back_off, clock))
    assert waited == [1.0, 2.0, 4.0, 8.0, MAX_SECONDS, MAX_SECONDS]
    back_off.succeeded()
    assert not back_off.is_backing_off
    back_off.failed("gone again")
    assert seconds_waited(back_off, clock) == 1.0


def test_the_log_hears_of_an_outage_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="authz_sidecar")
    back_off = BackOff("token issuer `ci`", clock=Clock())
    back_off.succeeded()
    for reason in ("first", "second"):
        back_off.failed(reason)
    assert back_off.reason == "second", "the last one is what requests are told"
    for _ in range(2):
        back_off.succeeded()
    assert back_off.reason == ""
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "token issuer `ci` is out of reach, trying on: first"),
        ("INFO", "token issuer `ci` answers again"),
    ]
