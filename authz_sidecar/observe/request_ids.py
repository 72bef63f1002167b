"""The id of a request: it ties its log lines together, and the page that a person sees to them."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID_BYTES = 8
_IDS_PER_DRAW = 128

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; every line written meanwhile carries it."""


def generate_request_ids() -> Iterator[str]:
    """Fresh ones without end. Many are drawn at once: a call to the system costs more than all else
    about an id."""
    while True:
        random_hex = secrets.token_hex(_ID_BYTES * _IDS_PER_DRAW)
        for offset in range(0, len(random_hex), 2 * _ID_BYTES):
            yield random_hex[offset : offset + 2 * _ID_BYTES]


def new_request_id() -> str:
    """A fresh id, for the rest of this request's task."""
    identifier = secrets.token_hex(_ID_BYTES)
    request_id.set(identifier)
    return identifier
