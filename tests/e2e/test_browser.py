"""What only a browser does: the whole journey in headless Chromium, through a real proxy.

`AUTHZ_SCREENSHOTS=DIRECTORY` keeps a picture of every page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import unavailable
from tests.servers.proxy import APP_HOST, AUTH_HOST, GROUP_HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Stage

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture
def browser_page(stage: Stage) -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        unavailable("chromium is not installed")
    # Hosts keep their names and their port; only the addresses are this machine's.
    rules = (
        f"MAP *.example.com:443 127.0.0.1:{stage.port}, MAP {AUTH_HOST}:443 127.0.0.1:{stage.port}"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[*FLAGS, f"--host-resolver-rules={rules}"],
        )
        try:
            context = browser.new_context(ignore_https_errors=True)
            context.set_default_timeout(20_000)
            yield context.new_page()
        finally:
            browser.close()


def test_a_person_signs_in_is_refused_elsewhere_and_signs_out(
    stage: Stage, browser_page: Page
) -> None:
    page, take = browser_page, pictures(browser_page)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(f"https://{APP_HOST}/some/page?a=1&b=2")
    assert page.url.startswith(stage.provider.issuer)
    take("1-provider")
    problems.clear()  # the provider's own

    page.get_by_placeholder("sub").fill("bob")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"https://{APP_HOST}/some/page?a=1&b=2")
    take("2-application")
    assert "X-Auth-User: bob" in unfolded(page.locator("pre").inner_text())
    assert "__Host-" not in page.locator("pre").inner_text()

    refused = page.goto(f"https://{GROUP_HOST}/")
    take("3-denied")
    assert refused is not None
    assert refused.status == 403
    assert "bob@example.com" in page.locator("body").inner_text()
    assert sheets(page) > 0, "the page lost its stylesheet"

    page.goto(f"https://{APP_HOST}/.auth/")
    take("4-who-am-i")
    assert "bob@example.com" in page.locator("body").inner_text()

    page.goto(f"https://{APP_HOST}/.auth/sign_out")
    take("5-sign-out")
    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url(f"{stage.provider.issuer}/**")
    page.locator("form button").first.click()
    page.wait_for_url(f"https://{AUTH_HOST}/.auth/signed_out**")
    take("6-signed-out")

    page.goto(f"https://{APP_HOST}/some/page")
    assert page.url.startswith(stage.provider.issuer)
    assert not [text for text in problems if "Content Security Policy" in text], problems


def unfolded(headers: str) -> str:
    """Header names as nginx would write them, whatever the proxy's letter case."""
    lines = (line.partition(":") for line in headers.splitlines())
    return "\n".join(f"{name.title()}:{value}" for name, _, value in lines)


def sheets(page: Page) -> int:
    count = page.evaluate("document.styleSheets.length")
    return int(count)


def pictures(page: Page) -> Take:
    directory = os.environ.get("AUTHZ_SCREENSHOTS")
    return Take(page, Path(directory) if directory else None)


class Take:
    def __init__(self, page: Page, directory: Path | None) -> None:
        self._page, self._directory = page, directory

    def __call__(self, name: str) -> None:
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._page.screenshot(path=self._directory / f"{name}.png", full_page=True)
