"""The id of a request: it ties its log lines together, and the page that a person sees to them."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID_BYTES = 8
_DRAWN_AT_ONCE = 128

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; every line written meanwhile carries it."""


def request_ids() -> Iterator[str]:
    """Fresh ones without end. Many are drawn at once: a call to the system costs more than all else
    about an id."""
    while True:
        drawn = secrets.token_hex(_ID_BYTES * _DRAWN_AT_ONCE)
        for at in range(0, len(drawn), 2 * _ID_BYTES):
            yield drawn[at : at + 2 * _ID_BYTES]


def new_request_id() -> str:
    """A fresh id, for the rest of this request's task."""
    fresh = secrets.token_hex(_ID_BYTES)
    request_id.set(fresh)
    return fresh
