"""On what it was measured: enough to judge the figures by, and nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.servers.traefik import wheel_binary

CORES = sorted(os.sched_getaffinity(0))
SERVICE_CORE, OTHER_CORE = CORES[0], CORES[-1]
PACKAGES = ("authz-sidecar", "uvicorn", "uvloop", "httptools", "fastapi", "redis")


def describe_machine() -> dict[str, Any]:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu[1].strip() if cpu else platform.machine(),
        "cores": len(CORES),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": platform.release(),
    }


def installed_versions() -> dict[str, str]:
    programs = {
        "nginx": (shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"), "-v"),
        "envoy": (wheel_binary("envoy"), "--version"),
        "redis-server": (shutil.which("redis-server"), "--version"),
        "wrk": (shutil.which("wrk"), "-v"),
    }
    outputs = {name: _version_output(path, option) for name, (path, option) in programs.items()}
    matches = {name: re.search(r"\d+\.\d+\.\d+", text) for name, text in outputs.items()}
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        **{name: match[0] for name, match in matches.items() if match},
    }


def _version_output(path: str | None, option: str) -> str:
    if path is None:
        return ""
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def measure_slowdown() -> float:
    """How much longer a loop takes than at its best: 1 on a machine that does nothing else."""
    taken = []
    for _ in range(500):
        started = time.perf_counter()
        sum(n * n for n in range(10_000))
        taken.append(time.perf_counter() - started)
    return round(statistics.fmean(taken) / min(taken), 2)


def memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu_seconds(pid: int) -> float:
    """What the process, with all its threads, has used of its core."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    nanoseconds = sum(int(each.read_text().split()[0]) for each in threads)
    if nanoseconds:
        return nanoseconds / 1e9
    # Kernels without that count in hundredths of a second.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
