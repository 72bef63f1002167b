"""How long a session that has been ended somewhere else still passes here: on every connection to
every replica, from the moment at which the sign-out begins."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions.factory import open_store
from benchmarks.load import check_requests
from benchmarks.session_seed import SCOPE, build_identity, open_sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.services import Service

CONNECTIONS = 6
"""To each replica: enough that hardly a worker of it has none."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    path: str

    async def is_allowed(self, cookie: str) -> bool:
        self.writer.write(check_requests(self.path, [cookie], paths_per_cookie=1)[0].encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self.reader.readexactly(int(length))
        return head.startswith(b"HTTP/1.1 200 ")


async def measure_milliseconds(
    store_url: str, replicas: Sequence[Service], *, count: int
) -> tuple[float, ...]:
    """Of so many sign-outs, the shortest first."""
    store = open_store(store_url)
    sessions = open_sessions(store)
    connections = [await _connect(replica) for replica in replicas for _ in range(CONNECTIONS)]

    async def wait_until_refused(connection: Connection, cookie: str) -> float:
        while await connection.is_allowed(cookie):
            pass
        return time.perf_counter()

    took = []
    try:
        for number in range(count):
            token, session = await sessions.create(identity=build_identity(number), scope=SCOPE)
            cookie = f"__Host-authz={token}"
            for _ in range(3):  # from the second or third on it is in memory
                if not all(
                    await asyncio.gather(*(each.is_allowed(cookie) for each in connections))
                ):
                    raise RuntimeError("a living session was refused")
            watching = [
                asyncio.create_task(wait_until_refused(each, cookie)) for each in connections
            ]
            began = time.perf_counter()
            await sessions.end(session)
            took.append((max(await asyncio.gather(*watching)) - began) * 1000)
    finally:
        for connection in connections:
            connection.writer.close()
        await store.aclose()
    return tuple(sorted(took))


async def _connect(replica: Service) -> Connection:
    reader, writer = await asyncio.open_connection(replica.host, replica.port)
    return Connection(reader=reader, writer=writer, path=replica.path)
