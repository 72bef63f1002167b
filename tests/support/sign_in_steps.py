"""What the tests of sign-in do again and again, and what they look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from tests.servers.browser import Browser, page
from tests.support.sign_in import APP

if TYPE_CHECKING:
    import httpx2

TWO_PROVIDERS: dict[str, dict[str, Any]] = {"corp": {}, "partners": {}}
DEEP_LINK = "/deep/path?a=1&b=%2f&a=%E2%82%AC&next=https://evil.example/"


def start_url(host: str, rd: str, **parameters: str) -> str:
    extra_query = "".join(f"&{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{host}/.auth/start?rd={quote(rd, safe='')}{extra_query}"


def is_app_url(url: str) -> bool:
    """Whether a redirect leads into the app: there the proxy would take over."""
    return "/.auth/" not in url and urlsplit(url).hostname != "localhost"


async def sign_in(browser: Browser, host: str = APP, rd: str = "/", user: str = "alice") -> str:
    """The address that the browser is finally sent to."""
    last = await browser.visit(start_url(host, rd), user=user, stop=is_app_url)
    assert last.status_code == 303, last.text
    return str(last.headers["location"])


def set_cookies(response: httpx2.Response) -> list[str]:
    return list(response.headers.get_list("set-cookie"))


def cleared_cookies(response: httpx2.Response) -> list[str]:
    return [line.partition("=")[0] for line in set_cookies(response) if "Max-Age=0" in line]


def restart_link(response: httpx2.Response) -> str:
    return next(link for link in page(response).links if "/.auth/start" in link)


async def requested_state(response: httpx2.Response) -> str:
    return parse_qs(urlsplit(response.headers["location"]).query)["state"][0]


async def requested_redirect_uri(response: httpx2.Response) -> str:
    return parse_qs(urlsplit(response.headers["location"]).query)["redirect_uri"][0]


async def requested_nonce(response: httpx2.Response) -> str:
    return parse_qs(urlsplit(response.headers["location"]).query)["nonce"][0]
