"""Those who mean harm, each with one idea, against the check listener; and those who meanwhile want
an honest answer. Everything ends by itself.

Attackers come as a proxy would hand them on: with its facts, and lines of their own choice.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from tests.servers.sidecar import Listener

APP_HOST = "app.example.com"
PUBLIC_HOST = "docs.example.com"
ANY_HOST = "apps.example.com"
SECONDS = 120.0
"""Until which every single answer has to be there, however slow the machine."""


def question(
    *lines: tuple[str, str], host: str = APP_HOST, path: str = "/", client: str = "203.0.113.9"
) -> bytes:
    facts = (
        ("Host", host),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", path),
        ("X-Forwarded-For", client),
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in (*facts, *lines))
    return f"GET /auth/nginx HTTP/1.1\r\n{head}\r\n".encode()


class Connection:
    """Kept as long as the other side wants, and opened again then."""

    def __init__(self, where: Listener) -> None:
        self._where = where
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, raw: bytes) -> tuple[int, dict[str, str]]:
        """0 where the connection ended instead."""
        async with asyncio.timeout(SECONDS):
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._where)
            reader, writer = self._streams
            try:
                writer.write(raw)
                head = await reader.readuntil(b"\r\n\r\n")
                start, *lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                await reader.readexactly(int(headers.get("content-length", "0")))
            except (OSError, asyncio.IncompleteReadError):
                await self.close()
                return 0, {}
            if headers.get("connection") == "close":
                await self.close()
            return int(start.split(" ")[1]), headers

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def ask_all(
    where: Listener, questions: Iterable[bytes], *, connections: int = 16
) -> Counter[int]:
    """How often each status came."""
    statuses: Counter[int] = Counter()
    each: Iterator[bytes] = iter(questions)

    async def work() -> None:
        connection = Connection(where)
        for raw in each:
            status, _ = await connection.ask(raw)
            statuses[status] += 1
        await connection.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(work())
    return statuses


# What they try


async def slowloris(where: Listener, *, connections: int) -> Counter[int]:
    """A head that never ends, a line now and then; until the other side has had enough."""

    async def one() -> int:
        reader, writer = await asyncio.open_connection(*where)
        with contextlib.suppress(OSError):
            writer.write(question()[:-2])
            async with asyncio.timeout(SECONDS):
                while not reader.at_eof():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            data = await reader.read(100)
                            writer.close()
                            return int(data.split(b" ")[1]) if data else 0
                    writer.write(b"X-A: b\r\n")
        writer.close()
        return 0

    return Counter(await asyncio.gather(*(one() for _ in range(connections))))


async def oversized_heads(where: Listener, *, count: int) -> Counter[int]:
    """Half a megabyte in one line, in many, in the target: as much of it as is taken."""
    large = "x" * 500_000
    heads = (
        question(("X-Large", large)),
        question(*((f"X-{at}", "x" * 100) for at in range(4000))),
        question(path=f"/{large}"),
        question().replace(b"/auth/nginx", b"/auth/nginx?" + large.encode()),
    )
    return await ask_all(where, (heads[at % len(heads)] for at in range(count)))


async def distinct_cookies(where: Listener, *, count: int) -> Counter[int]:
    """Each might be a session, and is none."""

    def questions() -> Iterator[bytes]:
        for _ in range(count):
            token = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
            yield question(("Cookie", f"__Host-authz={token}"))

    return await ask_all(where, questions(), connections=32)


async def header_floods(where: Listener, *, count: int) -> Counter[int]:
    """As many lines as pass, never the same twice, to where everybody may go: few and long ones,
    and many short ones."""

    def questions() -> Iterator[bytes]:
        for number in range(count):
            if number % 2:
                own = [(f"X-{number}-{at}", f"{number:07}" * 500) for at in range(4)]
            else:
                own = [(f"X-{number}-{at}", str(number)) for at in range(54)]
            yield question(*own, host=PUBLIC_HOST)

    return await ask_all(where, questions())


async def distinct_targets(where: Listener, *, count: int) -> Counter[int]:
    """Never the same path, query, host or client twice."""

    def questions() -> Iterator[bytes]:
        for number in range(count):
            yield question(
                host=f"h{number}.{ANY_HOST}",
                path=f"/{number}/{'x' * (number % 1000)}?{number}",
                client=f"2001:db8::{number % 65536:x}",
            )

    return await ask_all(where, questions())


async def deaf_askers(where: Listener, *, connections: int, megabytes: int) -> Counter[int]:
    """Questions behind each other without end, and not one answer is read."""

    async def one() -> None:
        _, writer = await asyncio.open_connection(*where, limit=1)
        raw = question(("Accept", "text/html"), host="nowhere.example.com") * 100
        sent = 0
        with contextlib.suppress(OSError, TimeoutError):
            while sent < megabytes << 20:
                writer.write(raw)
                sent += len(raw)
                async with asyncio.timeout(1):
                    await writer.drain()
        writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(connections)))
    return Counter()


# Who suffers


@dataclass(kw_only=True)
class Honest:
    """`expected` are questions, each with what its answer must be: status, and who passes."""

    where: Listener
    expected: tuple[tuple[bytes, int, str | None], ...]
    answered: int = 0
    wrong: list[object] = field(default_factory=list)

    async def ask_until(self, ending: asyncio.Event) -> None:
        """Once at least."""
        kept = Connection(self.where)
        while True:
            fresh = Connection(self.where)
            for raw, status, user in self.expected:
                for connection in (kept, fresh):
                    got, headers = await connection.ask(raw)
                    if (got, headers.get("x-auth-user")) != (status, user):
                        self.wrong.append((got, headers))
                    self.answered += 1
            await fresh.close()
            if ending.is_set():
                break
            await asyncio.sleep(0.01)
        await kept.close()


@contextlib.asynccontextmanager
async def asking_meanwhile(honest: Honest, *, people: int = 3) -> AsyncIterator[None]:
    ending = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(people):
            tasks.create_task(honest.ask_until(ending))
        try:
            yield
        finally:
            ending.set()


class Memory:
    """Resident memory of a process, in bytes: now, and at its peak since it was last looked at."""

    def __init__(self, pid: int) -> None:
        self._place = Path(f"/proc/{pid}")

    @property
    def now(self) -> int:
        return self._read("VmRSS")

    @property
    def peak(self) -> int:
        return self._read("VmHWM")

    def forget_peak(self) -> None:
        (self._place / "clear_refs").write_text("5")

    def _read(self, name: str) -> int:
        lines = (self._place / "status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


@dataclass(frozen=True, kw_only=True)
class Suffered:
    """`grown` is by how much memory was larger at its peak than before, in bytes."""

    statuses: Counter[int]
    grown: int
    honest: Honest


async def suffer(
    attack: Callable[[Listener], Awaitable[Counter[int]]], honest: Honest, *, pid: int
) -> Suffered:
    memory = Memory(pid)
    before = memory.now
    memory.forget_peak()
    async with asking_meanwhile(honest):
        statuses = await attack(honest.where)
    return Suffered(statuses=statuses, grown=max(0, memory.peak - before), honest=honest)
