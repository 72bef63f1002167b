"""The loop breaker counts finished rounds, within a minute, on one host."""

from __future__ import annotations

import pytest

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.loop import MOST_ROUNDS, WINDOW_SECONDS, LoopBreaker
from authz_sidecar.sealing import SecretKeys

APP = parse_origin("https://app.example.com")
ADMIN = parse_origin("https://admin.example.com")
LOOP = LoopBreaker(keys=SecretKeys([b"k" * 32]), base_name="authz")
NOW = 1_800_000_000.0


def line_after(rounds: int, *, every: float = 1.0) -> str:
    line = ""
    for number in range(rounds):
        cookie = LOOP.count([line], origin=APP, now=NOW + number * every)
        line = cookie.partition(";")[0]
    return line


def test_it_trips_after_three_rounds() -> None:
    trips = [LOOP.trips([line_after(n)], origin=APP, now=NOW + 5) for n in range(MOST_ROUNDS + 2)]
    assert trips == [False, False, False, True, True]


def test_it_forgets_after_a_minute() -> None:
    line = line_after(MOST_ROUNDS)
    assert not LOOP.trips([line], origin=APP, now=NOW + WINDOW_SECONDS)
    slow = line_after(10, every=WINDOW_SECONDS / 2)
    assert not LOOP.trips([slow], origin=APP, now=NOW + 9 * WINDOW_SECONDS / 2)


@pytest.mark.parametrize("line", ["", "__Host-authz-loop=x", "__Host-authz-loop=", "authz-loop=1"])
def test_a_spoilt_counter_is_none(line: str) -> None:
    assert not LOOP.trips([line], origin=APP, now=NOW)


def test_a_counter_belongs_to_its_host() -> None:
    line = line_after(MOST_ROUNDS)
    assert not LOOP.trips([line], origin=ADMIN, now=NOW)
    assert not LOOP.trips([line, line], origin=APP, now=NOW)
