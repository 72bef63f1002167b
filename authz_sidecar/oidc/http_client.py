"""The HTTP client towards one provider: bounded in time and size, no redirects, no compression.

A code, a secret or a token is in nearly every request, so nothing may send it elsewhere, and
nothing a provider sends may cost more than it is worth.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from authz_sidecar.errors import ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
TOTAL_SECONDS = 10.0
"""One exchange with a provider, retries of the network included: a person is waiting."""
MAX_RESPONSE_BYTES = 1_048_576


class ResponseTooLarge(httpx2.TransportError):
    """The answer outgrew `MAX_RESPONSE_BYTES`."""


class AccessDenied(ProviderUnavailable):
    """The provider answers, and does not give us what we asked for."""


_NOT_GIVEN = frozenset({401, 403, 404})


class _BoundedBody(httpx2.AsyncByteStream):
    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_RESPONSE_BYTES
        async for chunk in self._body:
            left -= len(chunk)
            if left < 0:
                raise ResponseTooLarge(f"answer of more than {MAX_RESPONSE_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class _Bounded(httpx2.AsyncBaseTransport):
    """Lends a connection pool to a client; closing the client leaves the pool open."""

    def __init__(self, pool: httpx2.AsyncHTTPTransport) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._pool.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise ResponseTooLarge("compressed answer, which was not asked for")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _BoundedBody(response.stream)
        return response

    async def aclose(self) -> None:
        pass


class TLSContext:
    """The certificate authorities we believe: read once, beside the event loop, for all providers.
    `ca_file` names others, for a server that nobody else would vouch for."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        async with self._lock:
            if self._context is None:
                self._context = await asyncio.to_thread(self._read)
            return self._context

    def _read(self) -> ssl.SSLContext:
        """Raises `ProviderUnavailable` where there is nothing to read."""
        if self._ca_file is None:
            return httpx2.create_ssl_context()
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:  # `ssl.SSLError` is one, too
            raise ProviderUnavailable(f"`{self._ca_file}`: {error}") from error


class HttpConnection:
    """One provider's connection pool, and clients that borrow it."""

    def __init__(self, trust: TLSContext) -> None:
        self._trust = trust
        self._pool: httpx2.AsyncHTTPTransport | None = None

    async def client(self) -> httpx2.AsyncClient:
        """One of its own for every exchange: a client remembers cookies."""
        return httpx2.AsyncClient(**await self.options())

    async def options(self) -> dict[str, Any]:
        """Those of a client that borrows this connection."""
        context = await self._trust.context()
        if self._pool is None:
            self._pool = httpx2.AsyncHTTPTransport(
                verify=context,
                limits=httpx2.Limits(max_connections=20, max_keepalive_connections=2),
            )
        return {
            "transport": _Bounded(self._pool),
            "follow_redirects": False,
            "headers": {
                "accept": "application/json, application/jwt;q=0.9",
                "accept-encoding": "identity",
            },
            "timeout": httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        }

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBody:
    """`kind` is the media type without its parameters."""

    url: str
    kind: str
    content: bytes = field(repr=False)

    def json(self) -> object:
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise ProviderUnavailable(f"`{self.url}`: not JSON") from error


@asynccontextmanager
async def bounded_exchange(what: str) -> AsyncIterator[None]:
    """Bounds an exchange in time and turns every way to fail into `ProviderUnavailable`."""
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            yield
    except TimeoutError as error:
        raise ProviderUnavailable(f"{what}: no answer within {TOTAL_SECONDS:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        # Only the type: messages of the network layer may quote a URL with its query.
        cause = error.__cause__ or error.__context__
        detail = f": {cause}" if isinstance(cause, OSError) else ""
        raise ProviderUnavailable(f"{what}: {type(error).__name__}{detail}") from error


async def fetch(client: httpx2.AsyncClient, url: str, *, bearer: str | None = None) -> HttpBody:
    """What is at `url`; raises `ProviderUnavailable`, also for any status but 200, and
    `AccessDenied` where it is us whom the provider does not give it."""
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    async with bounded_exchange(f"`{url}`"):
        response = await client.get(url, headers=headers)
    if response.status_code in _NOT_GIVEN and not _too_often(response):
        raise AccessDenied(f"`{url}`: status {response.status_code}")
    if response.status_code != 200:
        raise ProviderUnavailable(f"`{url}`: status {response.status_code}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return HttpBody(url=url, kind=kind, content=response.content)


async def post_form(
    client: httpx2.AsyncClient, url: str, form: Mapping[str, str], *, headers: Mapping[str, str]
) -> tuple[int, object]:
    """Status and JSON of the answer; raises `ProviderUnavailable`."""
    async with bounded_exchange(f"`{url}`"):
        response = await client.post(url, data=dict(form), headers=dict(headers))
    return response.status_code, HttpBody(url=url, kind="", content=response.content).json()


def _too_often(response: httpx2.Response) -> bool:
    """GitHub says so with 403 ("Rate limits for the REST API"): that passes."""
    return "retry-after" in response.headers or response.headers.get("x-ratelimit-remaining") == "0"
