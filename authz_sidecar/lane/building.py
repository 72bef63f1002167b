"""A lane beside a gate: over the same routes, answers, records and clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.lane.envelopes import Envelopes
from authz_sidecar.lane.places import Places
from authz_sidecar.lane.questions import Questions
from authz_sidecar.lane.roads import Roads
from authz_sidecar.lane.service import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.gate import Gate
    from authz_sidecar.lane.near import Near
    from authz_sidecar.proxies.base import Adapter
    from authz_sidecar.proxies.trust import Networks


def lane_beside(
    gate: Gate,
    *,
    adapters: Mapping[str, Adapter],
    trusted_hops: Networks,
    near: Near,
    passed: Callable[[str], Callable[[float], bool]],
    trusts: Callable[[Mapping[str, Any]], bool],
    steady_until: Callable[[Session, Origin], float],
    request_id: Callable[[], str],
) -> Lane:
    """`adapters` are those that the gate is asked through."""
    places = Places(gate.index, gate.cookies)
    return Lane(
        questions=Questions(
            adapters,
            envelopes=Envelopes(places=places, names=gate.names, trusted_hops=trusted_hops),
        ),
        roads=Roads(gate.index),
        near=near,
        answers=gate.answers,
        recorder=gate.recorder,
        passed={each.name: passed(each.name) for each in adapters.values()},
        trusts=trusts,
        steady_until=steady_until,
        clock=gate.clock,
        timer=gate.timer,
        request_id=request_id,
    )
