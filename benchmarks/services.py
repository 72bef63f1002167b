"""What is measured: services that answer checks on one core, and proxies in front of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.machine import OTHER_CORE, SERVICE_CORE
from benchmarks.session_seed import HOST, SECRET_KEY
from tests.servers.redis import running_redis
from tests.servers.sidecar import free_ports
from tests.servers.traefik import wheel_binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.redis import RedisServer

START_SECONDS = 240.0
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
    """Something that answers checks; `path` is where nginx asks it, `pid` who it is, where it is
    ours, and `ops_port` the port of a sidecar's operators."""

    name: str
    port: int
    path: str
    pid: int | None = None
    host: str = "127.0.0.1"
    ops_port: int | None = None

    def metric(self, name: str) -> float:
        """The sum of a metric's samples, as the sidecar tells it."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.ops_port}/metrics", timeout=10
        ) as page:
            text = page.read().decode()
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))


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
def running_process(
    command: list[str], core: int, port: int, log: Path, **options: Any
) -> Iterator[int]:
    process = pinned(command, core, log, **options)
    try:
        wait_until_responding(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_responding(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers, whatever it says: a socket is bound before what is behind it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), START_SECONDS) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if connection.recv(1):
                return
        time.sleep(0.05)
    raise RuntimeError(f"did not start:\n{log.read_text(errors='replace')[-2000:]}")


def route_configs(count: int) -> list[dict[str, Any]]:
    """Three on the host that is asked about, the others on hosts of their own."""
    own = [
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
        for at in range(count - len(own))
    ]
    return [*own, *others]


@contextlib.contextmanager
def redis() -> Iterator[RedisServer]:
    """On the core that the service does not have."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise SystemExit("`redis-server` is not installed (Debian: apt-get install redis-server)")
    with running_redis(binary) as server:
        os.sched_setaffinity(int(server.command("INFO", "server")["process_id"]), {OTHER_CORE})
        yield server


def configuration(
    store: str,
    *,
    ports: tuple[int, int, int] = (9180, 9181, 9182),
    fast_lane: bool = True,
    route_count: int = 3,
    near_entries: int | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    listeners = zip(("listen", "web_listen", "ops_listen"), ports, strict=True)
    near = {} if near_entries is None else {"near_cache": {"entries": near_entries}}
    return {
        "server": {
            **{name: f"127.0.0.1:{port}" for name, port in listeners},
            "adapters": ["nginx", "traefik", "envoy"],
            "fast_lane": fast_lane,
            "workers": workers,
        },
        "secret_keys": [SECRET_KEY],
        "sessions": {"store": store, **near},
        "identity_providers": {
            "corp": {"issuer": "http://localhost:9", "client_id": "c", "client_secret": "s"}
        },
        "routes": route_configs(route_count),
    }


@contextlib.contextmanager
def sidecar(
    directory: Path, store: str, *, name: str, log_level: str = "warning", **options: Any
) -> Iterator[Service]:
    """Usually without log lines for checks, as nginx is here without its access log. `options` are
    those of `configuration`."""
    check, web, ops = free_ports(3)
    config = directory / f"{name}.yaml"
    config.write_text(json.dumps(configuration(store, ports=(check, web, ops), **options)))
    command = [sys.executable, "-m", "authz_sidecar", "serve"]
    command += ["--config", str(config), "--log-level", log_level]
    with running_process(command, SERVICE_CORE, check, directory / f"{name}.log") as pid:
        yield Service(name=name, port=check, path="/auth/nginx", pid=pid, ops_port=ops)


@contextlib.contextmanager
def plain_fastapi(directory: Path) -> Iterator[Service]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.plain", str(port)]
    with running_process(command, SERVICE_CORE, port, directory / "plain.log") as pid:
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
    with running_process(command, core, port, place / "log") as pid:
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
    with running_process(command, OTHER_CORE, port, directory / f"envoy-{port}.log"):
        yield port
