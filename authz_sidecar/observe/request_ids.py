"""Request ids, which connect the log lines of a request and the page that a user reports."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID_BYTES = 8
_IDS_PER_DRAW = 128

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being processed; every log line of its task carries it."""


def generate_request_ids() -> Iterator[str]:
    """Yield new ids without end, drawn in batches: a system call costs more than all else about an
    id."""
    while True:
        random_hex = secrets.token_hex(_ID_BYTES * _IDS_PER_DRAW)
        for offset in range(0, len(random_hex), 2 * _ID_BYTES):
            yield random_hex[offset : offset + 2 * _ID_BYTES]


def new_request_id() -> str:
    """Return a new id, and set it for the rest of this request's task."""
    identifier = secrets.token_hex(_ID_BYTES)
    request_id.set(identifier)
    return identifier
