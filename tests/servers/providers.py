"""Three real OpenID providers of independent origin, each a process of its own on loopback.

    from tests.servers.providers import certified_provider, mock_provider  # noqa: F401

    def test_something(mock_provider: RunningProvider) -> None:
        mock_provider.issuer                    # "http://localhost:PORT"

`mock_provider` is `oidc-provider-mock` (no PKCE, no RFC 9207); `certified_provider` is the npm
package `oidc-provider` (both of these, form_post, RP-initiated and back-channel logout);
`django_provider` is django-oauth-toolkit over oauthlib and jwcrypto (both of these, RP-initiated
logout). All know `USERS`, and sign in whomever the form names. Client `CLIENT_ID` with `CLIENT_SECRET` may return to `REDIRECT_ORIGINS`;
`FORM_POST_CLIENT_ID` authenticates by `client_secret_post`, and `PUBLIC_CLIENT_ID` not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.sidecar import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLIENT_ID = "authz"
CLIENT_SECRET = "a secret: with / special + characters?"
FORM_POST_CLIENT_ID = "authz-by-post"
PUBLIC_CLIENT_ID = "authz-public"
START_SECONDS = 30.0

# The tests hold its standard input open; when they are gone, so is it.
_MOCK_UNTIL_END_OF_INPUT = """\
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from oidc_provider_mock.__main__ import run
run()
"""

USERS: dict[str, dict[str, object]] = {
    "alice": {
        "email": "alice@example.com",
        "email_verified": True,
        "name": "Alice Adams",
        "groups": ["admins", "staff"],
    },
    "bob": {
        "email": "bob@example.com",
        "email_verified": True,
        "name": "Bob Brown",
        "groups": ["staff"],
    },
    "eve": {"email": "eve@elsewhere.test", "email_verified": False, "name": "Eve", "groups": []},
}

REDIRECT_ORIGINS = (
    "https://auth.example.com",
    "https://auth.example.net",
    "https://app.example.com",
    "https://admin.example.com",
    "https://wiki.example.org",
)
REDIRECT_PATHS = ("/.auth/callback", "/.auth/callback/corp", "/.auth/callback/partners")
"""The redirect URI that providers may share, and those of two providers' own."""


@dataclass(kw_only=True)
class RunningProvider:
    """`restart` keeps the issuer and makes new signing keys."""

    issuer: str
    command: list[str]
    log_path: Path
    place: Path = Path(__file__).parent / "oidc_provider"
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def port(self) -> int:
        return int(self.issuer.rpartition(":")[2])

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.place,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        discovery = f"http://127.0.0.1:{self.port}/.well-known/openid-configuration"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(discovery, timeout=5).close()
                return
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the provider did not start:\n{self.log()}")

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()

    def restart(self) -> None:
        self.stop()
        self.start()


@contextlib.contextmanager
def running_mock_provider(directory: Path) -> Iterator[RunningProvider]:
    [port] = free_ports(1)
    command = [sys.executable, "-c", _MOCK_UNTIL_END_OF_INPUT, "--port", str(port)]
    for sub, claims in USERS.items():
        command += ["--user-claims", json.dumps({"sub": sub} | claims)]
    provider = RunningProvider(
        issuer=f"http://localhost:{port}",
        command=command,
        log_path=directory / f"mock-provider-{port}.log",
    )
    try:
        yield provider
    finally:
        provider.stop()


@contextlib.contextmanager
def running_certified_provider(
    directory: Path,
    *,
    redirect_origins: tuple[str, ...] = REDIRECT_ORIGINS,
    access_token_seconds: int = 3600,
    options: Mapping[str, object] | None = None,
    **registered: object,
) -> Iterator[RunningProvider]:
    node = _node_with_packages()
    [port] = free_ports(1)
    registration = {
        **_addresses(redirect_origins),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        **registered,
    }
    clients = [
        registration | {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        registration
        | {
            "client_id": FORM_POST_CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "token_endpoint_auth_method": "client_secret_post",
        },
        registration | {"client_id": PUBLIC_CLIENT_ID, "token_endpoint_auth_method": "none"},
    ]
    settings: dict[str, object] = {"port": port, "clients": clients, "users": USERS}
    settings |= {"accessTokenSeconds": access_token_seconds, **(options or {})}
    provider = RunningProvider(
        issuer=f"http://localhost:{port}",
        command=[node, "server.js", json.dumps(settings)],
        log_path=directory / f"certified-provider-{port}.log",
    )
    try:
        yield provider
    finally:
        provider.stop()


@contextlib.contextmanager
def running_django_provider(
    directory: Path, *, access_token_seconds: int = 3600
) -> Iterator[RunningProvider]:
    [port] = free_ports(1)
    registration = _addresses(REDIRECT_ORIGINS)
    secret = {"client_secret": CLIENT_SECRET}
    clients = [
        registration | {"client_id": CLIENT_ID} | secret,
        registration | {"client_id": FORM_POST_CLIENT_ID} | secret,
        registration | {"client_id": PUBLIC_CLIENT_ID},
    ]
    settings = {"port": port, "clients": clients, "access_token_seconds": access_token_seconds}
    provider = RunningProvider(
        issuer=f"http://localhost:{port}",
        command=[sys.executable, "-m", "tests.servers.django_provider", json.dumps(settings)],
        log_path=directory / f"django-provider-{port}.log",
        place=Path(__file__).parent.parent.parent,
    )
    try:
        yield provider
    finally:
        provider.stop()


def _addresses(origins: tuple[str, ...]) -> dict[str, list[str]]:
    return {
        "redirect_uris": [f"{origin}{path}" for origin in origins for path in REDIRECT_PATHS],
        "post_logout_redirect_uris": [f"{origin}/.auth/signed_out" for origin in origins],
    }


def _node_with_packages() -> str:
    """The program `node`, after the locked packages were installed beside the server.

    The system's may be older than the provider takes, so one of the right age comes as a package
    where there is one for the machine.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return _unavailable("node and npm are needed for the certified provider")
    place = Path(__file__).parent / "oidc_provider"
    locked = (place / "package-lock.json").read_text()
    stamp = place / "node_modules" / ".installed"  # as `tools/test-machine.sh` writes it
    # Several workers may come here at once, and `npm ci` begins by deleting everything.
    with (place / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == locked):
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=180, check=False
            )
            if done.returncode != 0:
                return _unavailable(f"npm could not install the certified provider: {done.stderr}")
            stamp.write_text(locked)
    packaged = next(place.glob("node_modules/node-linux-*/bin/node"), None)
    return str(packaged or node)


def _unavailable(reason: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mock_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_mock_provider(tmp_path_factory.mktemp("mock-provider")) as provider:
        yield provider


@pytest.fixture(scope="session")
def certified_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_certified_provider(tmp_path_factory.mktemp("certified-provider")) as provider:
        yield provider


@pytest.fixture(scope="session")
def django_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_django_provider(tmp_path_factory.mktemp("django-provider")) as provider:
        yield provider
