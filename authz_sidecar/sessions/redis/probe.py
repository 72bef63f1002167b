"""New connections to the primaries, made once a second to see where their addresses lead: a service
address, a name or a forwarder may lead to another server while all connections to the former one
live on, and that server may not know that it is no longer the primary.
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
"""How long connections are used although no new one can be made: nobody knows then where the address
leads by now. A name server may well be silent for some seconds."""


class PrimaryProbe:
    def __init__(
        self, connected: RedisConnections, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._primaries = connected.primaries
        self._dialer = Dialer(connected)
        self._clock = clock

    async def run(self) -> None:
        """Dial for ever; end the term when that has failed for `MAX_SECONDS_WITHOUT_DIAL`."""
        failing_since = math.inf
        # Workers start together, and so do replicas.
        await asyncio.sleep(random.uniform(0, PROBE_INTERVAL_SECONDS))  # noqa: S311
        while True:
            began = self._clock()
            try:
                await self._dialer.dial()
            except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
                failing_since = self._failed(error, min(failing_since, began))
            except Exception as error:
                # Without another dial nothing would ever be noticed again.
                logger.exception("a new connection to the session store failed")
                failing_since = self._failed(error, min(failing_since, began))
            else:
                failing_since = math.inf
            # Not all workers at the same moment.
            pause = PROBE_INTERVAL_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311
            await asyncio.sleep(max(0.0, began + pause - self._clock()))

    def _failed(self, error: Exception, since: float) -> float:
        if self._clock() - since < MAX_SECONDS_WITHOUT_DIAL:
            return since
        if self._primaries.any_known:
            self._primaries.end_term(f"no new connection can be made: {error}")
        return math.inf
