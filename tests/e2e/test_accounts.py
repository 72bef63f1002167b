"""Programs through a real proxy: a command-line tool that a person lets in, a service account that an
operator makes and takes back, and a client that knows nothing but passwords.

`AUTHZ_SCREENSHOTS=DIRECTORY` keeps a picture of the page that asks."""

from __future__ import annotations

import base64
import queue
import runpy
import socket
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from authz_sidecar.cli import main
from tests.e2e.conftest import EACH_PROXY, running_stage_of, sidecar_config
from tests.e2e.test_browser import browser_page, pictures
from tests.servers.proxy import APP_HOST, AUTH_HOST
from tests.servers.redis import RedisServer, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider

__all__ = ["browser_page", "redis_server"]

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "cli_login.py"
SITE = f"https://{APP_HOST}"


@pytest.fixture(scope="module", params=EACH_PROXY)
def stage_of_machines(
    request: pytest.FixtureRequest,
    certificate: Certificate,
    provider: RunningProvider,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    fast_lane: bool,
) -> Iterator[Stage]:
    redis_server.flush()
    directory = tmp_path_factory.mktemp("machines")
    hashed = bcrypt.hashpw(b"a good password", bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"printer:{hashed}\n")
    config: dict[str, Any] = {
        **sidecar_config(provider.issuer, fast_lane=fast_lane),
        "sessions": {"store": redis_server.url},
        "basic_auth": {"users": {"file": str(directory / "htpasswd")}, "guesses": 3},
        "routes": [
            {
                "name": "api",
                "from": SITE,
                "allow_any_authenticated_user": True,
                "service_accounts": True,
                "command_line_tools": True,
                "basic_auth": True,
            },
            {
                "name": "closed",
                "from": SITE,
                "prefix": "/closed",
                "allow_any_authenticated_user": True,
            },
        ],
    }
    with running_stage_of(
        config, request.param, directory, certificate=certificate, provider=provider
    ) as stage:
        yield stage


@pytest.fixture
def stage(stage_of_machines: Stage) -> Stage:
    stage_of_machines.clear()
    return stage_of_machines


@pytest.fixture
def reachable(stage: Stage, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """To programs of this process the example hosts are at the proxy, and their certificate is good."""
    resolve = socket.getaddrinfo

    def here(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host in {APP_HOST, AUTH_HOST}:
            host, port = "127.0.0.1", stage.port
        return resolve(host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.chain))


def test_a_tool_is_let_in_by_a_person_and_leaves_with_them(
    stage: Stage, browser_page: Page, reachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: queue.Queue[str] = queue.Queue()
    token: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", opened.put)
    sign_in: Callable[[str], str] = runpy.run_path(str(EXAMPLE))["sign_in"]
    tool = threading.Thread(target=lambda: token.put(sign_in(SITE)), daemon=True)
    tool.start()

    page, take = browser_page, pictures(browser_page)
    problems: list[str] = []
    page.goto(opened.get(timeout=20))
    assert page.url.startswith(stage.provider.issuer)
    page.get_by_placeholder("sub").fill("bob")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{SITE}/.auth/api/login?**")
    page.on("console", lambda message: problems.append(message.text))
    take("allow-tool")
    shown = page.locator("main").inner_text()
    assert "bob" in shown
    assert "http://127.0.0.1:" in shown
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("You can go back to the command line.").wait_for()
    assert not [text for text in problems if "Content Security Policy" in text], problems

    line = ("Authorization", f"Bearer {token.get(timeout=20)}")
    tool.join(timeout=20)
    assert not tool.is_alive()
    answer = stage.send("GET", "/things", [line])
    assert " 200 " in answer.start
    assert stage.app.only().one("x-auth-user") == "bob"
    assert " 401 " in stage.send("GET", "/closed", [line]).start

    page.goto(f"https://{AUTH_HOST}/.auth/sessions")
    take("sessions-with-tool")
    assert "Command-line tool (Python-urllib" in page.locator("main").inner_text()
    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url(f"https://{AUTH_HOST}/.auth/signed_out**")
    refused = stage.send("GET", "/things", [line])
    assert " 401 " in refused.start
    assert "invalid_token" in (refused.one("www-authenticate") or "")
    assert line[1] not in stage.sidecar.log()


def test_a_service_account_is_made_and_taken_back(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(stage.sidecar.config_path)
    assert main(["service-account", "new", "robot", "--route", "api", "--config", config]) == 0
    line = ("Authorization", f"Bearer {capsys.readouterr().out.strip()}")
    assert " 200 " in stage.send("GET", "/things", [line]).start
    assert stage.app.only().one("x-auth-user") == "service-account/robot"
    assert main(["service-account", "revoke", "robot", "--config", config]) == 0
    stage.sidecar.wait_until(lambda: " 401 " in stage.send("GET", "/things", [line]).start)


def test_a_client_that_knows_only_passwords(stage: Stage) -> None:
    def basic(password: str) -> tuple[str, str]:
        pair = base64.b64encode(f"printer:{password}".encode()).decode()
        return ("Authorization", f"Basic {pair}")

    assert " 200 " in stage.send("GET", "/things", [basic("a good password")]).start
    assert stage.app.only().one("x-auth-user") == "htpasswd/printer"
    refused = stage.send("GET", "/things", [basic("a bad one")])
    assert " 401 " in refused.start
    assert refused.one("www-authenticate") == 'Basic realm="authz", charset="UTF-8"'
    statuses = [stage.send("GET", "/things", [basic(f"guess {n}")]).start for n in range(3)]
    assert " 429 " in statuses[-1]
    assert " 200 " in stage.send("GET", "/things", [basic("a good password")]).start
    for password in ("a good password", "a bad one"):
        assert basic(password)[1] not in stage.sidecar.log()
