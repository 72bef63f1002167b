"""A browser as far as cookies, redirects and forms go: one cookie jar per host, and every cookie
judged as a browser judges it. Hosts under https are reached through the proxy, others directly."""

from __future__ import annotations

import contextlib
import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from tests.servers.wire import Lines, Message, Reader, connect, request_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

NAVIGATION: Lines = (
    ("User-Agent", "Mozilla/5.0 (test)"),
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
)
MOST_REDIRECTS = 15


@dataclass(frozen=True, kw_only=True)
class Page:
    url: str
    answer: Message

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def leads_to(self) -> str | None:
        """Where a browser goes next: a redirect, or a page that continues by itself."""
        if self.status in (301, 302, 303, 307, 308):
            location = self.answer.one("location")
            assert location is not None, f"{self.url} redirects nowhere"
            return urljoin(self.url, location)
        refresh = re.search(r'http-equiv="?refresh"? content="0;\s*url=([^"]*)"', self.answer.text)
        return urljoin(self.url, html.unescape(refresh[1])) if refresh else None

    def form(self) -> tuple[str, dict[str, str]]:
        """Target and hidden fields of the first posting form."""
        found = re.search(
            r'<form[^>]*method="?post"?[^>]*>.*?</form>',
            self.answer.text,
            re.DOTALL | re.IGNORECASE,
        )
        assert found, f"no form on {self.url}: {self.answer.text}"
        opening = found[0].partition(">")[0]
        action = re.search(r'action="([^"]*)"', opening)
        fields = {}
        for tag in re.findall(r"<input[^>]*>", found[0]):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            if attributes.get("type") == "hidden":
                fields[attributes["name"]] = html.unescape(attributes.get("value", ""))
        return urljoin(self.url, html.unescape(action[1]) if action else self.url), fields


@dataclass(kw_only=True)
class Visitor:
    """`visited` are the addresses asked for, in order."""

    proxy_port: int
    jars: dict[str, dict[str, str]] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)

    def get(self, url: str, *, headers: Lines = NAVIGATION) -> Page:
        return self._ask("GET", url, headers, b"")

    def post(self, url: str, form: Mapping[str, str], *, shown: Page | None = None) -> Page:
        """A form on a page of the same site, without following; `shown` is that page."""
        body = urlencode(form).encode()
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        # Fetch, "append a request Origin header": a page without referrers has no origin either.
        if shown is not None and shown.answer.one("referrer-policy") == "no-referrer":
            origin = "null"
        headers = (
            *NAVIGATION,
            ("Origin", origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", str(len(body))),
        )
        return self._ask("POST", url, headers, body)

    def browse(self, url: str) -> Page:
        return self.follow(self.get(url))

    def follow(self, page: Page) -> Page:
        for _ in range(MOST_REDIRECTS):
            if (url := page.leads_to) is None:
                return page
            page = self.get(url)
        raise AssertionError(f"more than {MOST_REDIRECTS} redirects: {self.visited}")

    def sign_in(self, url: str, user: str) -> Page:
        """From a protected address through the provider's form to where that leads."""
        page = self.browse(url)
        assert page.host.startswith("localhost:"), f"no provider at {page.url}: {page.answer.text}"
        # One provider's form has a field `sub`, the others' `user`.
        return self.follow(self.post(page.url, {"sub": user, "user": user}))

    def cookie_line(self, host: str) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.jars.get(host, {}).items())

    def _ask(self, method: str, url: str, headers: Lines, body: bytes) -> Page:
        parts = urlsplit(url)
        self.visited.append(url)
        secure = parts.scheme == "https"
        lines = [("Host", parts.netloc), *headers, ("Connection", "close")]
        if cookies := self.cookie_line(parts.netloc):
            lines.append(("Cookie", cookies))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with contextlib.closing(
            connect(self.proxy_port, server_name=parts.hostname)
            if secure
            else connect(parts.port or 80)
        ) as connection:
            connection.sendall(request_bytes(method, target, lines, body))
            answer = Reader(connection).answer(to=method)
        assert answer is not None, f"no answer from {url}"
        for line in answer.all("set-cookie"):
            self._keep(parts.netloc, line, secure=secure)
        return Page(url=url, answer=answer)

    def _keep(self, host: str, line: str, *, secure: bool) -> None:
        pair, *rest = line.split(";")
        name, _, value = pair.strip().partition("=")
        attributes = {
            key.strip().lower(): text.strip()
            for key, _, text in (part.partition("=") for part in rest)
        }
        if name.startswith("__Host-"):
            # RFC 6265bis section 4.1.3.2; a browser would throw the cookie away.
            assert secure, line
            assert "secure" in attributes, line
            assert attributes.get("path") == "/", line
            assert "domain" not in attributes, line
        jar = self.jars.setdefault(host, {})
        if attributes.get("max-age") == "0":
            jar.pop(name, None)
        else:
            jar[name] = value


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
