"""One input: a request, who makes it, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.policy.subject import Evidence, Subject, ToolCall
from authz_sidecar.policy.vectors.people import People
from authz_sidecar.policy.vectors.request import request_of
from authz_sidecar.policy.vectors.values import Object, instant, known, object_in, text_in

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest


class Case(NamedTuple):
    request: CheckRequest
    subject: Subject | None
    evidence: Evidence
    now: float


def read_case(given: Object, *, clock: float) -> Case:
    """`clock` is the time where the input names none. Raises `InputError`."""
    known(given, "")
    now = instant(given["now"]) if "now" in given else clock
    subject = People(given, now).subject()
    call = None
    if "mcp" in given:
        mcp = object_in(given, "mcp")
        call = ToolCall(text_in(mcp, "method"), text_in(mcp, "tool"))
    return Case(request_of(given), subject, Evidence(call=call), now)
