"""A process whose event loop hangs ends, and says where it hung."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from authz_sidecar.server.watchdog import EXIT_CODE

PROGRAM = """
import asyncio, time
from uvicorn.loops.auto import auto_loop_factory
from authz_sidecar.server.watchdog import Watchdog

def block(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)

async def main():
    watchdog = Watchdog(asyncio.get_running_loop(), interval_seconds=0.05, max_missed=20)
    watchdog.start()
    {body}
    watchdog.close()

with asyncio.Runner(loop_factory={loop}) as runner:
    runner.run(main())
print("ended in order")
"""


def run(body: str, loop: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body, loop=loop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("loop", ["auto_loop_factory()", "asyncio.new_event_loop"])
@pytest.mark.parametrize(
    ("body", "ends_in_order"),
    [
        pytest.param("block(60)", False, id="blocked"),
        pytest.param("block(0.3); await asyncio.sleep(0.3); block(0.3)", True, id="busy"),
        pytest.param("await asyncio.sleep(1.5)", True, id="idle"),
    ],
)
def test_a_loop_that_hangs_ends_the_process(body: str, loop: str, *, ends_in_order: bool) -> None:
    with run(body, loop) as process:
        said, complained = process.communicate(timeout=30)
    if ends_in_order:
        assert (process.returncode, said, complained) == (0, "ended in order\n", "")
    else:
        assert (process.returncode, said) == (EXIT_CODE, "")
        assert "the event loop has hung for 1 s" in complained
        assert "in block" in complained, "where it hung is said"


def test_a_process_that_is_stopped_and_goes_on_does_not_hang() -> None:
    body = "print('begun', flush=True); await asyncio.sleep(1)"
    with run(body, "auto_loop_factory()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(process.pid, signal.SIGCONT)
        said, complained = process.communicate(timeout=30)
    assert (process.returncode, said, complained) == (0, "ended in order\n", "")
