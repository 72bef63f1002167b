"""wrk, and what it tells. Requests are made beforehand, so that it only has to send them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.stand import AGENT, HOST, OTHER_CORE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_PATHS = ("/", "/page", "/api/items?page=2", "/api/users/7", "/team/a/plan", "/team/a")
_CLIENT = ("X-Forwarded-For", "203.0.113.7")
BROWSER = (
    ("User-Agent", AGENT),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Site", "same-origin"),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def checks(path: str, cookies: Sequence[str]) -> list[str]:
    """As nginx asks with `deploy/nginx`."""
    return [
        _request(
            path,
            (
                ("Host", HOST),
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", HOST),
                ("X-Forwarded-Uri", wanted),
                _CLIENT,
                *BROWSER,
                ("Cookie", cookie),
            ),
        )
        for cookie in cookies
        for wanted in _PATHS
    ]


def pages(cookies: Sequence[str]) -> list[str]:
    """As a browser asks a proxy."""
    more = (("Host", HOST), ("X-Forwarded-Proto", "https"), _CLIENT, *BROWSER)
    return [
        _request(wanted, (*more, ("Cookie", cookie))) for cookie in cookies for wanted in _PATHS
    ]


def _request(path: str, headers: tuple[tuple[str, str], ...]) -> str:
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"


def wrk(
    directory: Path, port: int, requests: Sequence[str], *, seconds: float, connections: int = 32
) -> Result:
    script = directory / "requests.lua"
    table = ",\n".join(f"[==[{each}]==]" for each in (text.replace("\r", "") for text in requests))
    script.write_text(
        f"local raw = {{\n{table}\n}}\n"
        "for i = 1, #raw do raw[i] = raw[i]:gsub('\\n', '\\r\\n') end\n"
        "local at, step = math.random(#raw), 7919\n"
        "request = function() at = (at + step) % #raw; return raw[at + 1] end\n"
    )
    command = ["taskset", "-c", str(OTHER_CORE), "wrk", "-t1", f"-c{connections}"]
    command += [f"-d{seconds:g}s", "--latency", "-s", str(script), f"http://127.0.0.1:{port}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = [int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)]
    return Result(
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        p50_ms=_milliseconds(_found(r"^ +50% +(\S+)", text)),
        p99_ms=_milliseconds(_found(r"^ +99% +(\S+)", text)),
        errors=(int(refused[1]) if refused else 0) + sum(broken),
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk said:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]
