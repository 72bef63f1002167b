"""A minimal browser: cookies by host, redirects and forms.

It connects to 127.0.0.1 whatever the host, because not every resolver knows `*.localhost`.
"""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_REDIRECTS: Final = 15
_REFRESH: Final = re.compile(r'http-equiv="refresh" content="0; url=([^"]+)"')
_NAVIGATION_HEADERS: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "User-Agent": "authz-sidecar-demo",
}
API_HEADERS: Final = {"Accept": "application/json", "User-Agent": "authz-sidecar-demo"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserPage:
    """A response, with the URL that was requested."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    def header(self, name: str) -> str:
        """Return the first value of a response header, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def redirect_url(self) -> str | None:
        """The URL that a browser would follow by itself (a redirect or a refresh), or None."""
        if self.status in {301, 302, 303}:
            return urljoin(self.url, self.header("location"))
        refresh = _REFRESH.search(self.text)
        return urljoin(self.url, unescape(refresh[1])) if refresh else None

    def field(self, name: str) -> str:
        """Return the value of a hidden form field, or an empty text."""
        match = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', self.text)
        return unescape(match[1]) if match else ""


class Browser:
    """A browser without scripts. `visited_hosts` are the hosts of all requests, in order."""

    def __init__(self) -> None:
        self.cookie_jars: dict[str, dict[str, str]] = {}
        self.visited_hosts: list[str] = []

    def get(self, url: str, headers: Mapping[str, str] = _NAVIGATION_HEADERS) -> BrowserPage:
        """Return the response to one GET request, without following redirects."""
        return self._request("GET", url, headers, None)

    def browse(self, url: str) -> BrowserPage:
        """Return the page at the end of all redirects."""
        return self.follow(self.get(url))

    def submit(
        self, page: BrowserPage, form: Mapping[str, str], *, to: str | None = None
    ) -> BrowserPage:
        """Post a form of `page` to its own URL or to `to` on the same site, and follow
        redirects."""
        parts = urlsplit(page.url)
        # A page that gives no referrer has no origin either (Fetch, "append a request Origin").
        no_referrer = page.header("referrer-policy") == "no-referrer"
        headers = {
            **_NAVIGATION_HEADERS,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "null" if no_referrer else f"{parts.scheme}://{parts.netloc}",
            "Sec-Fetch-Site": "same-origin",
        }
        return self.follow(self._request("POST", to or page.url, headers, urlencode(form)))

    def follow(self, page: BrowserPage) -> BrowserPage:
        """Follow the redirects of `page` and return the last page. Raises
        `http.client.HTTPException` for too many."""
        for _ in range(_MAX_REDIRECTS):
            if (url := page.redirect_url) is None:
                return page
            page = self.get(url)
        raise http.client.HTTPException(f"more than {_MAX_REDIRECTS} redirects, at {page.url}")

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None
    ) -> BrowserPage:
        parts = urlsplit(url)
        jar = self.cookie_jars.setdefault(parts.netloc, {})
        self.visited_hosts.append(parts.netloc)
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=20)
        try:
            connection.request(
                method,
                f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}",
                body=body,
                headers={
                    "Host": parts.netloc,
                    **({"Cookie": cookies} if cookies else {}),
                    **headers,
                },
            )
            response = connection.getresponse()
            page = BrowserPage(
                url=url,
                status=response.status,
                headers=tuple(response.getheaders()),
                text=response.read().decode("utf-8", "replace"),
            )
        finally:
            connection.close()
        for name, value in page.headers:
            if name.lower() == "set-cookie":
                _store_cookie(jar, value)
        return page


def _store_cookie(jar: dict[str, str], line: str) -> None:
    pair, *attributes = line.split(";")
    name, _, value = pair.strip().partition("=")
    if any(attribute.strip().lower() == "max-age=0" for attribute in attributes):
        jar.pop(name, None)
    else:
        jar[name] = value
