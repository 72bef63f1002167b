"""Says that a proxy is not configured as the sidecar needs it: once clearly, then now and again.

Decides how often an operator reads it; what is wrong, and what to change, is said by the adapter.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.observe.logging import fields

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0


@dataclass(slots=True, kw_only=True)
class MisconfigurationLog:
    """One line per adapter and minute, with the number of checks that were refused since the last."""

    clock: Callable[[], float] = time.monotonic
    _lines: dict[str, _Line] = field(default_factory=dict)

    def report(self, adapter: str, message: str) -> None:
        """Counts a refused check, and logs `message` where it is time to."""
        line = self._lines.setdefault(adapter, _Line())
        line.refused += 1
        now = self.clock()
        if now < line.next_at:
            return
        logger.error(
            "requests through %s are refused: %s",
            adapter,
            message,
            extra=fields(check=adapter, refused=line.refused),
        )
        line.next_at, line.refused = now + SECONDS_BETWEEN_LINES, 0


@dataclass(slots=True)
class _Line:
    next_at: float = float("-inf")
    refused: int = 0
