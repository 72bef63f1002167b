"""A worker is late, and then hung, by beats missed in a row."""

from __future__ import annotations

import pytest

from authz_sidecar.server.heartbeat import Heartbeat


@pytest.mark.parametrize(
    ("events", "late", "hung"),
    [
        pytest.param("", False, False, id="nothing yet"),
        pytest.param("." * 50, False, False, id="the first message is bounded elsewhere"),
        pytest.param("!", False, False, id="heard"),
        pytest.param("!..", False, False, id="two missed"),
        pytest.param("!...", True, False, id="three missed"),
        pytest.param("!....", True, False, id="four missed"),
        pytest.param("!.....", True, True, id="five missed"),
        pytest.param("!....!", False, False, id="heard in time"),
        pytest.param("!....!....", True, False, id="missed again, not in a row"),
        pytest.param("...!!....!...", True, False, id="anything is a sign of life"),
    ],
)
def test_beats_missed_in_a_row(events: str, late: bool, hung: bool) -> None:  # noqa: FBT001
    heartbeat = Heartbeat(max_missed=5, late_after=3)
    for event in events:
        if event == "!":
            heartbeat.record_message()
        else:
            heartbeat.record_interval()
    assert (heartbeat.is_late, heartbeat.is_hung) == (late, hung)
