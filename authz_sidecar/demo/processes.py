"""Starts the demo's processes, each with a log, watches them, and stops them in reverse order.

Each runs in its own session, so that Ctrl-C reaches the demo alone, which then stops them in order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

_START_SECONDS = 40.0
_STOP_SECONDS = 4.0
_TAIL_LINES = 20


class ProcessError(Exception):
    """A process ended or did not get ready; the message names it and ends with its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoProcess:
    """A running process with its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `ProcessError` if the process has ended."""
        code = self.process.poll()
        if code is None:
            return
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ProcessError(f"{self.name} {how}. {self.log_tail()}")

    def stop(self) -> None:
        """Terminate the process and everything it has started."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)
        # What it started itself goes with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log_tail(self) -> str:
        """Return the end of its log as text."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        if not lines:
            return f"Its log ({self.log}) is empty."
        return "\n".join([f"Its log ({self.log}) ends with:", *(f"    {line}" for line in lines)])


class ProcessGroup:
    """A context manager that stops all its processes when the block is left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: list[DemoProcess] = []

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> DemoProcess:
        """Start a process with a log in the group's directory."""
        log = self._directory / f"{name.lower().replace(' ', '-')}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # commands of our own
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        child = DemoProcess(name=name, process=process, log=log)
        self._processes.append(child)
        return child

    def wait_until(self, process: DemoProcess, is_ready: Callable[[], bool]) -> None:
        """Wait until `is_ready()`. Raises `ProcessError` if `process` takes too long, or any
        process has ended."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self._check()
            with contextlib.suppress(OSError):
                if is_ready():
                    return
            time.sleep(0.05)
        raise ProcessError(
            f"{process.name} did not get ready within {_START_SECONDS:.0f} seconds. "
            + process.log_tail()
        )

    def watch(self) -> None:
        """Watch all processes; never return. Raises `ProcessError` as soon as one has ended."""
        while True:
            self._check()
            time.sleep(0.3)

    def _check(self) -> None:
        for process in self._processes:
            process.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            process.stop()
