"""wrk, and what it tells. Requests are made beforehand, so that it only has to send them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine import OTHER_CORE
from benchmarks.session_seed import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONNECTIONS = 32
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_PATHS = ("/", "/page", "/api/items?page=2", "/api/users/7", "/team/a/plan", "/team/a")
_CLIENT = ("X-Forwarded-For", "203.0.113.7")
_BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Site", "same-origin"),
)


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """`refused` are answers that are neither a yes nor a redirect, `unanswered` those that never
    came."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int
    unanswered: int


def check_requests(
    path: str, cookies: Sequence[str], *, paths_per_cookie: int = len(_PATHS)
) -> list[str]:
    """As nginx asks with `deploy/nginx`, about so many addresses for each cookie."""
    return [
        _request(path, (*_forwarded_headers(request_path), *_BROWSER, ("Cookie", cookie)))
        for number, cookie in enumerate(cookies)
        for request_path in (
            _PATHS[(number + offset) % len(_PATHS)] for offset in range(paths_per_cookie)
        )
    ]


def distinct_check_requests(path: str, cookies: Sequence[str], *, per_cookie: int) -> list[str]:
    """Of which none is known by another: by so many browsers for each cookie."""
    return [
        _request(
            path,
            (
                *_forwarded_headers("/"),
                *_BROWSER,
                ("Viewport-Width", f"{width:04}"),
                ("Cookie", cookie),
            ),
        )
        for cookie in cookies
        for width in range(per_cookie)
    ]


def single_check_request(path: str, cookie: str, *, user_agent: str) -> str:
    """The same about the first page, from a browser that calls itself so."""
    return _request(
        path, (*_forwarded_headers("/"), ("User-Agent", user_agent), ("Cookie", cookie))
    )


def page_requests(cookies: Sequence[str]) -> list[str]:
    """As a browser asks a proxy."""
    more = (("Host", HOST), ("X-Forwarded-Proto", "https"), _CLIENT, *_BROWSER)
    return [
        _request(request_path, (*more, ("Cookie", cookie)))
        for cookie in cookies
        for request_path in _PATHS
    ]


def _forwarded_headers(request_path: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Host", HOST),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Uri", request_path),
        _CLIENT,
    )


def _request(path: str, headers: tuple[tuple[str, str], ...]) -> str:
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"


def run_wrk(
    directory: Path,
    port: int,
    requests: Sequence[str],
    *,
    seconds: float,
    host: str = "127.0.0.1",
    connections: int = CONNECTIONS,
) -> LoadResult:
    """Each request in its turn, again and again."""
    written, script = directory / "requests", directory / "requests.lua"
    written.write_bytes(b"\0".join(request.encode() for request in requests))
    script.write_text(
        f"local file, raw = io.open('{written}', 'rb'), {{}}\n"
        "for each in file:read('*a'):gmatch('[^%z]+') do raw[#raw + 1] = each end\n"
        "local at, step = math.random(#raw), 7919\n"
        "request = function() at = (at + step) % #raw; return raw[at + 1] end\n"
    )
    command = ["taskset", "-c", str(OTHER_CORE), "wrk", "-t1", f"-c{connections}"]
    command += [f"-d{max(1, round(seconds))}s", "--latency", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://{host}:{port}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"wrk: {done.stderr or done.stdout}")
    text = done.stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = [int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)]
    requests_made, took = re.findall(r"(\d+) requests in ([\d.]+)s", text)[0]
    return LoadResult(
        requests=int(requests_made),
        per_second=int(requests_made) / float(took),
        p50_ms=_milliseconds(_search(r"^ +50% +(\S+)", text)),
        p99_ms=_milliseconds(_search(r"^ +99% +(\S+)", text)),
        refused=int(refused[1]) if refused else 0,
        unanswered=sum(broken),
    )


def _search(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk said:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if found is None:
        raise RuntimeError(f"wrk said `{text}` for a time")
    return float(found[1]) * _UNITS[found[2]]
