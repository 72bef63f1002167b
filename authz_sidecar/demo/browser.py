"""A browser of the smallest kind: cookies per host, redirects, forms.

It connects to 127.0.0.1 whatever the host, because not every resolver knows `*.localhost`."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_REDIRECTS: Final = 15
_REFRESH: Final = re.compile(r'http-equiv="refresh" content="0; url=([^"]+)"')
_NAVIGATION: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "User-Agent": "authz-sidecar-demo",
}
API: Final = {"Accept": "application/json", "User-Agent": "authz-sidecar-demo"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def leads_to(self) -> str | None:
        """Where a browser would go on to by itself."""
        if self.status in {301, 302, 303}:
            return urljoin(self.url, self.header("location"))
        refresh = _REFRESH.search(self.text)
        return urljoin(self.url, unescape(refresh[1])) if refresh else None

    def field(self, name: str) -> str:
        found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', self.text)
        return unescape(found[1]) if found else ""


class Visitor:
    """`visited` names every host that was asked, in order."""

    def __init__(self) -> None:
        self.jars: dict[str, dict[str, str]] = {}
        self.visited: list[str] = []

    def get(self, url: str, headers: Mapping[str, str] = _NAVIGATION) -> Page:
        return self._ask("GET", url, headers, None)

    def browse(self, url: str) -> Page:
        """Follows redirects to the page at their end."""
        return self.follow(self.get(url))

    def submit(self, page: Page, form: Mapping[str, str], *, to: str | None = None) -> Page:
        """Posts a form of `page`, to its own address or another one of the same site; follows."""
        parts = urlsplit(page.url)
        # A page that gives no referrer has no origin either (Fetch, "append a request Origin").
        silent = page.header("referrer-policy") == "no-referrer"
        headers = {
            **_NAVIGATION,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "null" if silent else f"{parts.scheme}://{parts.netloc}",
            "Sec-Fetch-Site": "same-origin",
        }
        return self.follow(self._ask("POST", to or page.url, headers, urlencode(form)))

    def follow(self, page: Page) -> Page:
        for _ in range(_MOST_REDIRECTS):
            if (url := page.leads_to) is None:
                return page
            page = self.get(url)
        raise http.client.HTTPException(f"more than {_MOST_REDIRECTS} redirects, at {page.url}")

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> Page:
        parts = urlsplit(url)
        jar = self.jars.setdefault(parts.netloc, {})
        self.visited.append(parts.netloc)
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
            page = Page(
                url=url,
                status=response.status,
                headers=tuple(response.getheaders()),
                text=response.read().decode("utf-8", "replace"),
            )
        finally:
            connection.close()
        for name, value in page.headers:
            if name.lower() == "set-cookie":
                _keep(jar, value)
        return page


def _keep(jar: dict[str, str], line: str) -> None:
    pair, *attributes = line.split(";")
    name, _, value = pair.strip().partition("=")
    if any(attribute.strip().lower() == "max-age=0" for attribute in attributes):
        jar.pop(name, None)
    else:
        jar[name] = value
