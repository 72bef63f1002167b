"""What is measured: services that answer checks on one core, and proxies in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.types import Identity
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import Sessions
from authz_sidecar.sessions.opening import open_store
from tests.servers.sidecar import SECRET_KEY, free_ports
from tests.servers.traefik import wheel_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "app.example.com"
CORES = sorted(os.sched_getaffinity(0))
SERVICE_CORE, OTHER_CORE = CORES[0], CORES[-1]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
TEN_CRITERIA = {
    "allow": {
        "and": [
            {"authenticated_user": True},
            {"domain": {"is": "example.com"}},
            {"groups": {"has": "eng"}},
            {"http_method": {"in": ["GET", "HEAD", "POST"]}},
            {"http_path": {"starts_with": "/"}},
        ]
    },
    "deny": {
        "or": [
            {"http_path": {"starts_with": "/secret"}},
            {"source_ip": "198.51.100.0/24"},
            {"user": {"is": "mallory"}},
            {"email": {"ends_with": "@evil.example"}},
            {"time_of_day": {"after": "03:00:00", "before": "03:00:01", "timezone": "UTC"}},
        ]
    },
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """Something that answers checks; `path` is where nginx asks it, `pid` who it is."""

    name: str
    port: int
    path: str
    pid: int


def pinned(command: list[str], core: int, log: Path, **options: Any) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            **options,
        )


@contextlib.contextmanager
def running(command: list[str], core: int, port: int, log: Path, **options: Any) -> Iterator[int]:
    process = pinned(command, core, log, **options)
    try:
        wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"did not start:\n{log.read_text(errors='replace')[-2000:]}")


def routes(count: int) -> list[dict[str, Any]]:
    """Three on the host that is asked about, the others on hosts of their own."""
    ours = [
        {"name": f"r{at}", "from": f"https://{HOST}", "prefix": prefix, "policy": TEN_CRITERIA}
        for at, prefix in enumerate(("/", "/api", "/team/a"))
    ]
    others = [
        {
            "name": f"o{at}",
            "from": f"https://h{at % 5000}.example.com",
            "prefix": f"/p{at}",
            "allow_any_authenticated_user": True,
        }
        for at in range(count - len(ours))
    ]
    return [*ours, *others]


@contextlib.contextmanager
def sidecar(
    directory: Path,
    store: str,
    *,
    name: str,
    fast_lane: bool = True,
    route_count: int = 3,
    near_entries: int | None = None,
) -> Iterator[Service]:
    check, web, ops = free_ports(3)
    config = directory / f"{name}.yaml"
    document = {
        "server": {
            "listen": f"127.0.0.1:{check}",
            "web_listen": f"127.0.0.1:{web}",
            "ops_listen": f"127.0.0.1:{ops}",
            "adapters": ["nginx", "traefik", "envoy"],
            "fast_lane": fast_lane,
        },
        "secret_keys": [SECRET_KEY],
        "sessions": {"store": store}
        | ({} if near_entries is None else {"near_cache": {"entries": near_entries}}),
        "identity_providers": {
            "corp": {"issuer": "http://localhost:9", "client_id": "c", "client_secret": "s"}
        },
        "routes": routes(route_count),
    }
    config.write_text(json.dumps(document))
    command = [sys.executable, "-m", "benchmarks.serve", str(config)]
    with running(command, SERVICE_CORE, check, directory / f"{name}.log") as pid:
        yield Service(name=name, port=check, path="/auth/nginx", pid=pid)


@contextlib.contextmanager
def plain_fastapi(directory: Path) -> Iterator[Service]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.plain", str(port)]
    with running(command, SERVICE_CORE, port, directory / "plain.log") as pid:
        yield Service(name="plain FastAPI", port=port, path="/auth/nginx", pid=pid)


@contextlib.contextmanager
def nginx(directory: Path, name: str, core: int, http: str, port: int) -> Iterator[int]:
    place = directory / name
    place.mkdir(exist_ok=True)
    temporary = " ".join(
        f"{kind}_temp_path {place}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (place / "nginx.conf").write_text(
        f"daemon off; master_process off; worker_processes 1; pid {place}/pid; error_log stderr;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary}\n{http}\n}}\n"
    )
    binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "nginx"
    command = [binary, "-p", str(place), "-e", "stderr", "-c", "nginx.conf"]
    with running(command, core, port, place / "log") as pid:
        yield pid


@contextlib.contextmanager
def return_204(directory: Path) -> Iterator[Service]:
    (port,) = free_ports(1)
    http = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 204; }}"
        ' location /auth/envoy { return 200 ""; } }'
    )
    with nginx(directory, "return-204", SERVICE_CORE, http, port) as pid:
        yield Service(name="nginx return 204", port=port, path="/auth/nginx", pid=pid)


@contextlib.contextmanager
def behind_nginx(directory: Path, service: Service) -> Iterator[int]:
    """The questions of `deploy/nginx`, on the core that the service does not have."""
    (port,) = free_ports(1)
    http = f"""
    upstream check {{ server 127.0.0.1:{service.port}; keepalive 64; keepalive_requests 100000000; }}
    server {{
      listen 127.0.0.1:{port};
      location = /_check {{
        internal;
        proxy_pass http://check{service.path};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Method $request_method;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Uri $request_uri;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
      }}
      location / {{
        auth_request /_check;
        auth_request_set $user $upstream_http_x_auth_user;
        add_header X-User $user;
        try_files /page =404;
      }}
    }}"""
    place = directory / f"front-{port}"
    (place / "html").mkdir(parents=True)
    (place / "html" / "page").write_text("hello\n")
    with nginx(directory, place.name, OTHER_CORE, http, port):
        yield port


@contextlib.contextmanager
def behind_envoy(directory: Path, service: Service) -> Iterator[int]:
    (port,) = free_ports(1)
    types = "type.googleapis.com/envoy.extensions"
    listener = {
        "name": "front",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "front",
                "http_filters": [
                    {
                        "name": "envoy.filters.http.ext_authz",
                        "typed_config": {
                            "@type": f"{types}.filters.http.ext_authz.v3.ExtAuthz",
                            "http_service": {
                                "server_uri": {
                                    "uri": f"http://127.0.0.1:{service.port}",
                                    "cluster": "check",
                                    "timeout": "3s",
                                },
                                "path_prefix": "/auth/envoy",
                            },
                            "allowed_headers": {"patterns": [
                                {"exact": name}
                                for name in (
                                    *("cookie", "accept", "x-forwarded-proto"),
                                    *("x-forwarded-for", "x-request-id"),
                                )
                            ]},
                        },
                    },
                    {
                        "name": "envoy.filters.http.router",
                        "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"},
                    },
                ],
                "use_remote_address": False,
                "route_config": {"virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{
                        "match": {"prefix": "/"},
                        "direct_response": {"status": 200, "body": {"inline_string": "hello"}},
                    }],
                }]},
            },
        }]}],
    }  # fmt: skip
    cluster = {
        "name": "check",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "check",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                "address": "127.0.0.1", "port_value": service.port}}}}]}],
        },
    }  # fmt: skip
    config = directory / f"envoy-{port}.json"
    config.write_text(
        json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})
    )
    binary = wheel_binary("envoy")
    if binary is None:
        raise RuntimeError("no Envoy on this machine")
    command = [binary, "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
    command += ["--log-level", "error"]
    with running(command, OTHER_CORE, port, directory / f"envoy-{port}.log"):
        yield port


def person(number: int) -> Identity:
    """With the claims of a typical ID token."""
    return Identity(
        provider="corp",
        issuer="http://localhost:9",
        subject=f"auth0|{number:024d}",
        email=f"user{number}@example.com",
        name=f"Some Body {number}",
        groups=("eng", "everybody", "project-x"),
        claims={
            "email_verified": True,
            "preferred_username": f"user{number}",
            "locale": "en-GB",
            "picture": f"https://cdn.example.com/pictures/{number}.png",
        },
    )


async def sign_in(store_url: str, count: int) -> list[str]:
    """Cookies of so many new sessions."""
    store = open_store(store_url)
    sessions = Sessions(
        store=store,
        secret_keys=SecretKeys([SECRET_KEY.encode()]),
        lifetime=50_400,
        idle_timeout=3600,
    )
    cookies: list[str] = []
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            token, _ = await sessions.create(identity=person(number), scope=f"https://{HOST}")
            cookies.append(f"__Host-authz={token}")

    try:
        await asyncio.gather(*(work() for _ in range(32)))
    finally:
        await store.aclose()
    return cookies


def memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu_seconds(pid: int) -> float:
    """What the process has used of its core."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
