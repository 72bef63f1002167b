"""How long a session that is ended elsewhere still passes here."""

from __future__ import annotations

import asyncio
import time

from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import Sessions
from authz_sidecar.sessions.opening import open_store
from benchmarks.load import checks
from benchmarks.stand import HOST, person
from tests.servers.sidecar import SECRET_KEY


async def p99_ms(store_url: str, port: int, *, count: int) -> float:
    store = open_store(store_url)
    sessions = Sessions(
        store=store,
        secret_keys=SecretKeys([SECRET_KEY.encode()]),
        lifetime=3600,
        idle_timeout=600,
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def status(question: bytes) -> int:
        writer.write(question)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        return int(head.split(b" ")[1])

    took = []
    try:
        for number in range(count):
            token, session = await sessions.create(identity=person(number), scope=f"https://{HOST}")
            question = checks("/auth/nginx", [f"__Host-authz={token}"])[0].encode()
            for _ in range(3):
                if await status(question) != 200:
                    raise RuntimeError("a living session was refused")
            await sessions.end(session)
            ended = time.perf_counter()
            while await status(question) == 200:
                pass
            took.append((time.perf_counter() - ended) * 1000)
    finally:
        writer.close()
        await store.aclose()
    return sorted(took)[int(len(took) * 0.99)]
