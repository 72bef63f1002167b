"""A browser without a window: cookies, redirects, forms. Our hosts are mounted on an ASGI app or
on a socket; everything else (the providers) is reached over the network."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

MOST_STEPS = 25


@dataclass(kw_only=True)
class Form:
    method: str = "get"
    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.refresh: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = values.get("method", "get").lower()
            self.forms.append(Form(method=method, action=values.get("action", "")))
        elif tag == "input" and self.forms and "name" in values:
            checked = values.get("type") not in {"radio", "checkbox"} or "checked" in values
            if checked and values.get("type") != "submit":
                self.forms[-1].fields[values["name"]] = values.get("value", "")
        elif tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.refresh = values.get("content", "").partition("=")[2].strip("'\" ")


def page(response: httpx2.Response) -> _Page:
    parsed = _Page()
    parsed.feed(response.text)
    return parsed


class Browser:
    """`ours` maps origins to the transport that serves them."""

    def __init__(self, ours: Mapping[str, httpx2.AsyncBaseTransport]) -> None:
        self._ours = tuple(ours)
        self.client = httpx2.AsyncClient(
            mounts=dict(ours),
            follow_redirects=False,
            trust_env=False,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # of the network only loopback is used
            timeout=20,
            headers={"accept": "text/html", "user-agent": "Browser of the tests"},
        )
        self.visited: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.aclose()

    async def request(self, method: str, url: str, **options: object) -> httpx2.Response:
        self.visited.append(url)
        return await self.client.request(method, url, **options)  # type: ignore[arg-type]

    async def get(self, url: str, **headers: str) -> httpx2.Response:
        return await self.request("GET", url, headers=headers)

    def cookies(self, host: str) -> dict[str, str]:
        found = (cookie for cookie in self.client.cookies.jar if cookie.domain == host)
        return {cookie.name: cookie.value or "" for cookie in found}

    async def follow(
        self,
        response: httpx2.Response,
        *,
        user: str | None = None,
        stop: Callable[[str], bool] = lambda _url: False,
    ) -> httpx2.Response:
        """Go on until a page stands still. At a provider's form sign in as `user`; a form that
        needs no person (form_post) is sent. `stop` is asked before a redirect is followed."""
        for _ in range(MOST_STEPS):
            here = str(response.request.url)
            if response.status_code in {301, 302, 303, 307, 308}:
                target = urljoin(here, response.headers["location"])
                if stop(target):
                    return response
                response = await self.get(target)
            elif not self._is_ours(here) and user is not None and page(response).forms:
                response = await self.submit(response, _answers(response, user))
            else:
                return response
        raise AssertionError(f"no end after {MOST_STEPS} steps: {self.visited[-6:]}")

    async def visit(
        self,
        url: str,
        *,
        user: str | None = None,
        stop: Callable[[str], bool] = lambda _url: False,
    ) -> httpx2.Response:
        return await self.follow(await self.get(url), user=user, stop=stop)

    async def submit(
        self,
        response: httpx2.Response,
        values: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send the page's first form with `values` filled in."""
        form, here = page(response).forms[0], str(response.request.url)
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(here))
        return await self.request(
            form.method.upper(),
            urljoin(here, form.action) if form.action else here,
            data={**form.fields, **values},
            headers={"origin": origin, **(headers or {})},
        )

    def _is_ours(self, url: str) -> bool:
        return any(url == origin or url.startswith(f"{origin}/") for origin in self._ours)


def _answers(response: httpx2.Response, user: str) -> dict[str, str]:
    """What the two providers' forms ask for: `sub` here, `user` there, nothing for form_post."""
    fields = page(response).forms[0].fields
    return {name: user for name in ("user", "sub") if name in fields}
