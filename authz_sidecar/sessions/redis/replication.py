"""Waits until a replica has received what was written, so that it survives the loss of the
primary.

Replication is asynchronous: a primary answers before its replicas have the write. WAIT "blocks the
current client until all the previous write commands are successfully transferred and acknowledged
by at least the number of replicas you specify". https://redis.io/docs/latest/commands/wait/
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

MAX_REPLICA_WAIT_SECONDS = 0.25
"""How long a sign-out waits for a replica that hangs: it is effective at the primary already."""

_LOG_INTERVAL_SECONDS = 60.0

# WAIT covers the writes of its own connection. Replicas apply all writes in one order, so this last
# write stands for those of other connections before it.
_LAST_WRITE = ("SET", "az:ready", "1", "PX", 1000)
_ONLINE = b"state=online"


class Replication:
    """Waits for the replicas of one Redis. `clock` is the monotonic clock, in seconds."""

    def __init__(self, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._warned_at = -math.inf

    async def wait_for_replica(self, connection: IdentifiedConnection) -> None:
        """Return once a replica has all that was written to this server before; at once when it
        has none or the user may not read `INFO replication`; after `MAX_REPLICA_WAIT_SECONDS` with
        a warning in the log."""
        await connection.send_command("INFO", "replication")
        info = await connection.read_response_or_error()
        if not isinstance(info, bytes) or _ONLINE not in info:
            return
        wait = ("WAIT", 1, round(MAX_REPLICA_WAIT_SECONDS * 1000))
        await connection.send_packed_command(
            connection.pack_commands([_LAST_WRITE, wait]), check_health=False
        )
        _, acknowledged = (
            await connection.read_response_or_error(),
            await connection.read_response_or_error(),
        )
        if acknowledged == 0:
            self._warn()

    def _warn(self) -> None:
        now = self._clock()
        if now - self._warned_at >= _LOG_INTERVAL_SECONDS:
            logger.warning(
                "no replica of the session store `%s` has acknowledged a sign-out within %g s: if"
                " the primary is lost now, those sessions may come back",
                self._name,
                MAX_REPLICA_WAIT_SECONDS,
            )
            self._warned_at = now
