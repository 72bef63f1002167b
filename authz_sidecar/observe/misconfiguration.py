"""The log of misconfigured proxies: one line at once, then one a minute.

Decides how often a line is logged; the adapter's error says what is wrong and what to change.
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

LOG_INTERVAL_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class MisconfigurationLog:
    """Logs one line per adapter and minute, with the number of checks refused since the last one."""

    clock: Callable[[], float] = time.monotonic
    _states: dict[str, _AdapterState] = field(default_factory=dict)

    def report(self, adapter: str, message: str) -> None:
        """Count a refused check, and log `message` if the interval has passed."""
        state = self._states.setdefault(adapter, _AdapterState())
        state.rejected_checks += 1
        now = self.clock()
        if now < state.next_log_at:
            return
        logger.error(
            "requests through %s are refused: %s",
            adapter,
            message,
            extra=fields(check=adapter, refused=state.rejected_checks),
        )
        state.next_log_at, state.rejected_checks = now + LOG_INTERVAL_SECONDS, 0


@dataclass(slots=True)
class _AdapterState:
    next_log_at: float = float("-inf")
    rejected_checks: int = 0
