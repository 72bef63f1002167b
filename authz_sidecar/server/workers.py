"""Several workers on the same sockets: starts them, restarts those that die, replaces them one by
one, and adds up what they report. The parent serves the operators' listener alone and never
answers a check itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.observe.logging import fields
from authz_sidecar.observe.report import Report, added_up, from_json
from authz_sidecar.server.control import Line, LineLostError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping

    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.logging import LogFormat

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
STOP_SECONDS = 60.0
RELOAD_SECONDS = 60.0
REPORT_SECONDS = 5.0
FIRST_BACK_OFF_SECONDS = 0.5
LONGEST_BACK_OFF_SECONDS = 30.0
_STEADY_SECONDS = 60.0


class Child:
    """One worker process, and the line to it."""

    def __init__(self, process: Process, line: Line) -> None:
        self.process = process
        self._line = line
        self._last: Report = ()

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def start(self, config: Config) -> bool:
        """Whether it answers checks now."""
        with contextlib.suppress(LineLostError):
            await self._line.ask("start", seconds=START_SECONDS, config=config)
            return True
        return False

    async def reload(self, config: Config) -> bool:
        with contextlib.suppress(LineLostError):
            answer = await self._line.ask("reload", seconds=RELOAD_SECONDS, config=config)
            return answer["reloaded"] is True
        return False

    async def report(self) -> dict[str, Any] | None:
        """What it says of itself; None when it does not answer."""
        with contextlib.suppress(LineLostError):
            answer = await self._line.ask("report", seconds=REPORT_SECONDS)
            self._last = from_json(answer["metrics"])
            return answer
        return None

    async def denial(self, request_id: str) -> dict[str, Any] | None:
        """Its explanation of a denial, if it was this worker's."""
        with contextlib.suppress(LineLostError):
            answer = await self._line.ask("denial", seconds=REPORT_SECONDS, about=request_id)
            found: dict[str, Any] | None = answer["denial"]
            return found
        return None

    @property
    def counted(self) -> Report:
        """What it had counted when it was last heard of."""
        return self._last

    async def stop(self) -> None:
        """Let it finish what it began and say what it counted; kill it when that takes too long."""
        await self.report()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                with contextlib.suppress(LineLostError):
                    await self._line.ask("stop", seconds=REPORT_SECONDS)
                    self._last = from_json((await self._line.receive())["metrics"])
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()
        self._line.close()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a worker is started."""

    sockets: Mapping[str, tuple[socket.socket, ...]]
    log_format: LogFormat
    log_level: str

    async def spawn(self) -> Child:
        ours, theirs = socket.socketpair()
        with theirs:
            handed = {name: _descriptors(self.sockets[name]) for name in ("check", "web")}
            arguments = ["--control", str(theirs.fileno())]
            for name, descriptors in handed.items():
                arguments += [f"--{name}", ",".join(map(str, descriptors))]
            arguments += ["--log-format", self.log_format, "--log-level", self.log_level]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "authz_sidecar.server.child",
                *arguments,
                pass_fds=(theirs.fileno(), *handed["check"], *handed["web"]),
                stdin=asyncio.subprocess.DEVNULL,
            )
        ours.setblocking(False)
        return Child(process, await Line.over(ours))


def _descriptors(sockets: tuple[socket.socket, ...]) -> tuple[int, ...]:
    return tuple(each.fileno() for each in sockets)


@dataclass(slots=True)
class Slot:
    """One place for a worker. `leaving` still finishes what it began."""

    number: int
    child: Child | None = None
    leaving: Child | None = None
    keeper: asyncio.Task[None] | None = None


@dataclass(slots=True, kw_only=True)
class Workers:
    """`config` is what every worker answers by, from its start: a file that has been spoilt since
    keeps no worker from being restarted."""

    recipe: Recipe
    config: Config
    count: int
    clock: Callable[[], float] = time.monotonic
    _slots: list[Slot] = field(default_factory=list)
    _gone: Report = ()
    _replacing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Returns when each worker answers, or has failed once."""
        self._slots = [Slot(number) for number in range(1, self.count + 1)]
        ready = [asyncio.Event() for _ in self._slots]
        for slot, event in zip(self._slots, ready, strict=True):
            slot.keeper = asyncio.create_task(self._keep(slot, event))
        await asyncio.gather(*(event.wait() for event in ready))

    async def _keep(self, slot: Slot, tried: asyncio.Event) -> None:
        """Have a worker in this slot, always."""
        pause = FIRST_BACK_OFF_SECONDS
        while True:
            born = self.clock()
            if slot.child is None:
                slot.child = await self.recipe.spawn()
                await slot.child.start(self.config)
                tried.set()
            # A replacement puts another child here while this one goes: then that one is watched.
            while (child := slot.child).alive:
                await child.process.wait()
            self._remember(child)
            slot.child = None
            if self.clock() - born > _STEADY_SECONDS:
                pause = FIRST_BACK_OFF_SECONDS
            logger.error(
                "worker died, starting another",
                extra=fields(
                    worker=slot.number, exit_code=child.process.returncode, pause_seconds=pause
                ),
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_BACK_OFF_SECONDS)

    def _remember(self, child: Child) -> None:
        """Counts never go backwards because a worker is gone."""
        self._gone = added_up(self._gone, [child.counted])

    async def replace(self) -> None:
        """A new worker for each old one, one after the other; nothing is refused meanwhile."""
        async with self._replacing:
            for slot in self._slots:
                new = await self.recipe.spawn()
                if not await new.start(self.config):
                    new.kill()
                    await new.process.wait()
                    logger.error(
                        "the new worker did not start, the old ones stay",
                        extra=fields(worker=slot.number),
                    )
                    return
                slot.leaving, slot.child = slot.child, new
                if slot.leaving is not None:
                    await slot.leaving.stop()
                    self._remember(slot.leaving)
                    slot.leaving = None
        logger.info("all workers replaced", extra=fields(workers=self.count))

    async def reload(self, config: Config) -> bool:
        """Whether every worker took the configuration into use."""
        self.config = config
        return all(await asyncio.gather(*(child.reload(config) for child in self._children())))

    async def missing(self) -> dict[str, str]:
        """What keeps any worker from being ready."""
        missing: dict[str, str] = {}
        for slot, report in await self._reports():
            if report is None:
                missing[f"worker {slot.number}"] = "it does not answer"
            else:
                missing |= report["missing"]
        return missing

    async def counted(self) -> Report:
        await self._reports()
        children = [each for slot in self._slots for each in (slot.child, slot.leaving) if each]
        return added_up(self._gone, [child.counted for child in children])

    async def denial(self, request_id: str) -> dict[str, Any] | None:
        """The explanation of a recent denial by whichever worker denied."""
        found = await asyncio.gather(*(each.denial(request_id) for each in self._children()))
        return next((each for each in found if each is not None), None)

    async def _reports(self) -> list[tuple[Slot, dict[str, Any] | None]]:
        async def ask(slot: Slot) -> tuple[Slot, dict[str, Any] | None]:
            return slot, await slot.child.report() if slot.child else None

        return await asyncio.gather(*(ask(slot) for slot in self._slots))

    def describe(self) -> list[dict[str, Any]]:
        return [
            {"worker": slot.number, "pid": child.process.pid, "alive": child.alive}
            for slot in self._slots
            if (child := slot.child) is not None
        ]

    def _children(self) -> list[Child]:
        return [slot.child for slot in self._slots if slot.child and slot.child.alive]

    async def stop(self) -> None:
        for slot in self._slots:
            if slot.keeper is not None:
                slot.keeper.cancel()
        children = [each for slot in self._slots for each in (slot.child, slot.leaving) if each]
        await asyncio.gather(*(child.stop() for child in children if child.alive))

    def kill(self) -> None:
        for slot in self._slots:
            for child in (slot.child, slot.leaving):
                if child is not None:
                    child.kill()
