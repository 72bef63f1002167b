"""Runs the demo: writes the configurations, starts the processes in order, prints what to try, and
waits. Decides the exit code: 0 success, 1 a failure, 2 the demo could not be set up."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import secrets
import signal
import socket
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from authz_sidecar.demo.ports import PortError, choose_ports
from authz_sidecar.demo.processes import ProcessError, ProcessGroup
from authz_sidecar.demo.proxies import PROXIES, ProxyError, find_program
from authz_sidecar.demo.scenario import ALICE, BOB, SITES, Scenario
from authz_sidecar.demo.smoke_test import run_smoke_test
from authz_sidecar.snippets import SnippetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

_NO_PROVIDER: Final = (
    "The demo's OpenID provider is not installed. `pip install 'authz-sidecar[demo]'` brings it."
)


def run_demo(*, proxy: str, public_port: int | None, directory: Path, check: bool) -> int:
    """Run the demo, or its smoke test with `check`, and return the exit code. `directory` receives
    configurations and logs; it is created if necessary."""
    try:
        if find_spec("oidc_provider_mock") is None:
            print(_NO_PROVIDER, file=sys.stderr)
            return 2
        program = find_program(proxy)
        scenario = Scenario(proxy=proxy, ports=choose_ports(public_port, memorable=not check))
        directory = directory.resolve()
        proxy_directory = directory / proxy
        proxy_directory.mkdir(parents=True, exist_ok=True)
        PROXIES[proxy].write(scenario, proxy_directory)
        config = directory / "authz-sidecar.yaml"
        _write_config(config, scenario)
    except (PortError, ProxyError, SnippetError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with _interruptible(), ProcessGroup(directory) as processes:
            _start(processes, scenario, config=config, program=program, directory=proxy_directory)
            if check:
                return 0 if _run_check(scenario) else 1
            _print_instructions(scenario, directory)
            processes.watch()
    except ProcessError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nAll processes are stopped.", flush=True)
    return 0


def _write_config(path: Path, scenario: Scenario) -> None:
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    # JSON is YAML. The key is for this run only, and still a secret.
    path.touch(mode=0o600)
    path.write_text(json.dumps(scenario.sidecar_config(secret_key=key), indent=2) + "\n")


def _start(
    processes: ProcessGroup, scenario: Scenario, *, config: Path, program: str, directory: Path
) -> None:
    title = PROXIES[scenario.proxy].title
    print(f"Starting the provider, the app, the sidecar and {title} ...", flush=True)
    ports = scenario.ports
    users = [
        option for user in (ALICE, BOB) for option in ("--user-claims", json.dumps(user.claims()))
    ]
    provider = processes.start(
        "The provider",
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(ports.provider), *users],
    )
    sites = [option for site in SITES for option in ("--site", f"{site}={scenario.origin(site)}")]
    app = processes.start(
        "The app",
        [sys.executable, "-m", "authz_sidecar.demo.whoami", "--port", str(ports.app), *sites],
    )
    sidecar = processes.start(
        "The sidecar",
        [
            *(sys.executable, "-m", "authz_sidecar", "serve", "--config", str(config)),
            *("--log-format", "console"),
        ],
    )
    # Caddy keeps its state below these directories.
    homes = {"XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    proxy = processes.start(title, PROXIES[scenario.proxy].command(program, directory), env=homes)
    processes.wait_until(provider, _accepts_connections(ports.provider))
    processes.wait_until(app, _accepts_connections(ports.app))
    processes.wait_until(sidecar, _is_ready(ports.ops))
    processes.wait_until(proxy, _accepts_connections(ports.public))


def _accepts_connections(port: int) -> Callable[[], bool]:
    def probe() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    return probe


def _is_ready(port: int) -> Callable[[], bool]:
    def probe() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    return probe


def _run_check(scenario: Scenario) -> bool:
    print(f"The smoke test behind {PROXIES[scenario.proxy].title}:", flush=True)
    passed = run_smoke_test(scenario)
    print("All checks passed." if passed else "A check failed.", flush=True)
    return passed


def _print_instructions(scenario: Scenario, directory: Path) -> None:
    width = max(len(scenario.origin(site)) for site in SITES)
    sites = "\n".join(
        f"    {scenario.origin(site):{width}}  {audience}" for site, audience in SITES.items()
    )
    print(
        f"""
authz-sidecar behind {PROXIES[scenario.proxy].title}. Open

    {scenario.origin("app")}

The provider's sign-in page opens; no password is needed. Sign in as one of

    {ALICE.subject}  in the groups {" and ".join(ALICE.groups)}: may open everything
    {BOB.subject}    in the group {" and ".join(BOB.groups)}: is refused at the admin site, which says why

and the app opens. One sign-in is valid on every site:

{sites}

Configurations and logs are in {directory}. Ctrl-C stops everything.
""",
        flush=True,
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A termination or a closed terminal ends the demo as Ctrl-C does, once."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
