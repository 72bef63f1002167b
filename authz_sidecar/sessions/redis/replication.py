"""Waits until a replica has what was written, so that it survives the loss of the primary.

Replication is asynchronous: a primary answers first, and tells its replicas afterwards. WAIT "blocks
the current client until all the previous write commands are successfully transferred and
acknowledged by at least the number of replicas you specify".
https://redis.io/docs/latest/commands/wait/
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.redis.connections import IdentifiedConnection

logger = logging.getLogger(__name__)

SECONDS_FOR_A_REPLICA = 0.25
"""How long a sign-out waits for a replica that hangs: it counts at the primary already."""

_SECONDS_BETWEEN_LINES = 60.0

# WAIT is about what its own connection has written. Replicas get everything in one order.
_LAST = ("SET", "az:ready", "1", "PX", 1000)
_ONLINE = b"state=online"


class Replication:
    def __init__(self, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._warned_at = -math.inf

    async def wait_for_replica(self, connection: IdentifiedConnection) -> None:
        """Return when a replica has all that was written to this server until now, at once if it has
        none, and after `SECONDS_FOR_A_REPLICA` at the latest, which is logged. Does nothing where
        the user may not ask."""
        await connection.send_command("INFO", "replication")
        info = await connection.read_response_or_error()
        if not isinstance(info, bytes) or _ONLINE not in info:
            return
        wait = ("WAIT", 1, round(SECONDS_FOR_A_REPLICA * 1000))
        await connection.send_packed_command(
            connection.pack_commands([_LAST, wait]), check_health=False
        )
        _, acknowledged = (
            await connection.read_response_or_error(),
            await connection.read_response_or_error(),
        )
        if acknowledged == 0:
            self._warn()

    def _warn(self) -> None:
        now = self._clock()
        if now - self._warned_at >= _SECONDS_BETWEEN_LINES:
            logger.warning(
                "no replica of the session store `%s` has acknowledged a sign-out within %g s: if"
                " the primary is lost now, those sessions may come back",
                self._name,
                SECONDS_FOR_A_REPLICA,
            )
            self._warned_at = now
