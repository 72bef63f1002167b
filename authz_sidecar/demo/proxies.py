"""The proxies of the demo: finds the program, and writes its configuration, which is that of
`authz-sidecar snippet` on another port and without TLS."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.demo.scenario import AUTH_HOST
from authz_sidecar.snippets import DeploymentFacts
from authz_sidecar.snippets import render_snippet as snippet
from authz_sidecar.snippets.edit import EXAMPLE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.demo.scenario import Scenario

_SYSTEM_DIRECTORIES: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")


class ProxyError(Exception):
    """The proxy cannot run; the message says what to install or what does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProgram:
    """A proxy: `write` writes its configuration to a directory; `command` runs it there."""

    title: str
    install: str
    write: Callable[[Scenario, Path], None]
    command: Callable[[str, Path], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Edit:
    """A substitution that must match, so that a changed configuration is noticed."""

    pattern: str
    replacement: str

    def apply(self, text: str, *, file: str) -> str:
        edited, count = re.subn(self.pattern, lambda _: self.replacement, text, flags=re.MULTILINE)
        if not count:
            raise ProxyError(f"`{file}` no longer contains `{self.pattern}`")
        return edited


def find_program(name: str) -> str:
    """Return the program's path, beside this Python or on the search path. Raises `ProxyError` if
    there is none."""
    directories = [
        str(Path(sys.executable).parent),
        os.environ.get("PATH", ""),
        *_SYSTEM_DIRECTORIES,
    ]
    if name == "envoy" and (spec := find_spec("envoy")) and spec.submodule_search_locations:
        directories.insert(0, str(Path(spec.submodule_search_locations[0], "_bin")))
    path = shutil.which(name, path=os.pathsep.join(directories))
    if path is None:
        proxy = PROXIES[name]
        raise ProxyError(f"{proxy.title} is not installed. {proxy.install}")
    return path


def _write_files(
    scenario: Scenario, directory: Path, edits: Mapping[str, tuple[_Edit, ...]]
) -> None:
    """Write what `authz-sidecar snippet` prints; `edits`, by file, are what the demo changes."""
    loopback = partial(TcpAddress, "127.0.0.1")
    facts = DeploymentFacts(
        check=loopback(scenario.ports.check),
        web=loopback(scenario.ports.web),
        base_path="/.auth",
        hosts=scenario.hosts,
        auth_host=AUTH_HOST,
        headers=EXAMPLE_HEADERS,
        cookies=("authz",),
    )
    for name, text in snippet(scenario.proxy, facts).files.items():
        edited = text
        for edit in edits.get(name, ()):
            edited = edit.apply(edited, file=name)
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(edited, encoding="utf-8")


def _app_port_edit(scenario: Scenario, template: str = "127.0.0.1:{}") -> _Edit:
    """Applied before anything that names the public port, which may be 8080 too."""
    return _Edit(re.escape(template.format(8080)) + r"\b", template.format(scenario.ports.app))


def _write_traefik(scenario: Scenario, directory: Path) -> None:
    static = (
        _Edit(r"^  web:\n(?:    .*\n)+\n", ""),
        _Edit(r"/etc/traefik/dynamic\.yml", str(directory / "dynamic.yml")),
        _Edit(r'":443"', f'"127.0.0.1:{scenario.ports.public}"'),
    )
    dynamic = (
        _app_port_edit(scenario),
        _Edit(r"^tls:\n(?:[ ].*\n)+", ""),
        _Edit(r"^ +tls: \{\}\n", ""),
    )
    _write_files(scenario, directory, {"traefik.yml": static, "dynamic.yml": dynamic})


def _write_envoy(scenario: Scenario, directory: Path) -> None:
    public = f"address: 127.0.0.1, port_value: {scenario.ports.public}"
    edits = (
        _app_port_edit(scenario, "address: 127.0.0.1, port_value: {}"),
        _Edit(r"^  - name: http\n(?:(?:    .*)?\n)+?(?=  - name: https\n)", ""),
        _Edit(r"^    - transport_socket:\n(?:        .*\n)+      filters:", "    - filters:"),
        _Edit(r"address: 0\.0\.0\.0, port_value: 443", public),
    )
    _write_files(scenario, directory, {"envoy.yaml": edits})


def _write_caddy(scenario: Scenario, directory: Path) -> None:
    port = scenario.ports.public
    options = "\tauto_https off\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n"
    apps = ", ".join(f"http://{host}:{port}" for host in scenario.hosts)
    edits = (
        _app_port_edit(scenario),
        _Edit(r"^\thttp_port 80\n\thttps_port 443\n", options),
        _Edit(r"^\timport certificate\n", ""),
        _Edit(r"^\(certificate\) \{\n(?:\t.*\n)+\}\n", ""),
        _Edit(rf"^{AUTH_HOST} \{{", f"http://{AUTH_HOST}:{port} {{"),
        _Edit(rf"^{', '.join(scenario.hosts)} \{{", f"{apps} {{"),
        _Edit(r"^:443 \{", f"http://:{port} {{"),
    )
    _write_files(scenario, directory, {"Caddyfile": edits})


def _write_nginx(scenario: Scenario, directory: Path) -> None:
    main = (
        _app_port_edit(scenario),
        _Edit(r"^    server \{\n        listen 80 (?:.*\n)+?    \}\n", ""),
        _Edit(r"^    ssl_certificate(?:_key)? .*\n", ""),
        _Edit(r"listen 443 ssl http2", f"listen 127.0.0.1:{scenario.ports.public}"),
    )
    _write_files(scenario, directory, {"nginx.conf": main})
    # The file includes additional settings: all files that nginx writes stay in this directory.
    settings = directory / "conf.d" / "demo.conf"
    settings.parent.mkdir(exist_ok=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [f"{kind}_temp_path {directory}/temp/{kind};" for kind in kinds]
    settings.write_text("\n".join(["access_log off;", *lines, ""]), encoding="utf-8")
    (directory / "temp").mkdir(exist_ok=True)


def _run_traefik(program: str, directory: Path) -> tuple[str, ...]:
    return (program, f"--configFile={directory / 'traefik.yml'}")


def _run_envoy(program: str, directory: Path) -> tuple[str, ...]:
    options = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn")
    return (program, "-c", str(directory / "envoy.yaml"), *options)


def _run_caddy(program: str, directory: Path) -> tuple[str, ...]:
    return (program, "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile"))


def _run_nginx(program: str, directory: Path) -> tuple[str, ...]:
    # As root, its workers would run as a user that may not read this directory.
    user = " user root;" if os.geteuid() == 0 else ""
    settings = f"daemon off; pid {directory}/nginx.pid;{user}"
    return (program, "-p", str(directory), "-c", "nginx.conf", "-e", "stderr", "-g", settings)


_FROM_PYPI: Final = "It comes with the demo's packages: `pip install 'authz-sidecar[demo]'`."

PROXIES: Final[Mapping[str, ProxyProgram]] = {
    "traefik": ProxyProgram(
        title="Traefik", install=_FROM_PYPI, write=_write_traefik, command=_run_traefik
    ),
    "envoy": ProxyProgram(
        title="Envoy", install=_FROM_PYPI, write=_write_envoy, command=_run_envoy
    ),
    "caddy": ProxyProgram(
        title="Caddy", install=_FROM_PYPI, write=_write_caddy, command=_run_caddy
    ),
    "nginx": ProxyProgram(
        title="nginx",
        install="Install it (Debian, Ubuntu: `sudo apt-get install nginx-light`; "
        "macOS: `brew install nginx`), or take another proxy: `make demo PROXY=traefik`.",
        write=_write_nginx,
        command=_run_nginx,
    ),
}
