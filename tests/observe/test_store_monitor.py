"""An outage of the store is told once, then now and again, and so is its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.observe.store_monitor import StoreMonitor

if TYPE_CHECKING:
    import pytest


async def test_one_line_when_it_goes_one_a_minute_and_one_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 1000.0
    away = False
    errors = 0

    async def ready() -> None:
        if away:
            raise StoreUnavailable("the session store `redis://db` cannot answer: refused")

    def on_error() -> None:
        nonlocal errors
        errors += 1

    watch = StoreMonitor(check_ready=ready, on_error=on_error, clock=lambda: now)
    caplog.set_level(logging.INFO)
    await watch.probe()
    assert caplog.messages == []

    away = True
    for _ in range(70):
        await watch.probe()
        now += 1
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("the session store `redis://db` cannot answer: refused")
    assert errors == 70

    away = False
    await watch.probe()
    await watch.probe()
    assert caplog.messages[2:] == ["the session store answers again"]
