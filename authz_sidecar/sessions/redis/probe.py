"""Probes the addresses of the primaries with new connections, once a second.

A service address, a name or a forwarder may lead to another server while all connections to the
former one stay open, and that server may not know that it is no longer the primary.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisClusterException, RedisError

from authz_sidecar.sessions.redis.dialer import Dialer

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.redis.clients import RedisConnections

logger = logging.getLogger(__name__)

PROBE_INTERVAL_SECONDS = 1.0
MAX_SECONDS_WITHOUT_DIAL = 5.0
"""How long existing connections are used while no new one can be made, when it is unknown where the
address leads. A name server may fail to answer for some seconds."""


class PrimaryProbe:
    """The probe of one Redis. `clock` is the monotonic clock, in seconds."""

    def __init__(
        self, connections: RedisConnections, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._primaries = connections.primaries
        self._dialer = Dialer(connections)
        self._clock = clock

    async def run(self) -> None:
        """Dial until cancelled; end the term when no dial succeeded for
        `MAX_SECONDS_WITHOUT_DIAL`."""
        failing_since = math.inf
        # Jitter: workers start at the same moment, and so do replicas.
        await asyncio.sleep(random.uniform(0, PROBE_INTERVAL_SECONDS))  # noqa: S311
        while True:
            started_at = self._clock()
            try:
                await self._dialer.dial()
            except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
                failing_since = self._on_failure(error, min(failing_since, started_at))
            except Exception as error:
                # The probe must go on, or no later change would be noticed.
                logger.exception("a new connection to the session store failed")
                failing_since = self._on_failure(error, min(failing_since, started_at))
            else:
                failing_since = math.inf
            # Jitter: not all workers at the same moment.
            pause = PROBE_INTERVAL_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311
            await asyncio.sleep(max(0.0, started_at + pause - self._clock()))

    def _on_failure(self, error: Exception, failing_since: float) -> float:
        """Since when dials fail; infinite after the term was ended for it."""
        if self._clock() - failing_since < MAX_SECONDS_WITHOUT_DIAL:
            return failing_since
        if self._primaries.any_known:
            self._primaries.end_term(f"no new connection can be made: {error}")
        return math.inf
