"""The HTTP client for identity providers and token issuers: bounded in time and size, without
redirects and compression.

Nearly every request carries a code, a secret or a token, so a redirect must never send it
elsewhere. A response of more than `MAX_RESPONSE_BYTES` is an error.
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
"""One exchange with a provider, with network retries: a user is waiting."""
MAX_RESPONSE_BYTES = 1_048_576


class ResponseTooLarge(httpx2.TransportError):
    """The response body is larger than `MAX_RESPONSE_BYTES`, or compressed."""


class AccessDenied(ProviderUnavailable):
    """The provider answered with 401, 403 or 404: this client may not have the resource."""


_ACCESS_DENIED = frozenset({401, 403, 404})


class _BoundedBody(httpx2.AsyncByteStream):
    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_RESPONSE_BYTES
        async for chunk in self._body:
            left -= len(chunk)
            if left < 0:
                raise ResponseTooLarge(f"response of more than {MAX_RESPONSE_BYTES} bytes")
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
            raise ResponseTooLarge("compressed response, which the request did not accept")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _BoundedBody(response.stream)
        return response

    async def aclose(self) -> None:
        pass


class TLSContext:
    """The TLS context shared by all connections, with the certificate authorities to trust. It is
    read once, in a thread.

    `ca_file`: a PEM file of certificate authorities that replaces the default ones.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """Return the context, reading it at the first call. Raises `ProviderUnavailable` when
        `ca_file` cannot be read."""
        async with self._lock:
            if self._context is None:
                self._context = await asyncio.to_thread(self._read)
            return self._context

    def _read(self) -> ssl.SSLContext:
        """Raises `ProviderUnavailable` when `ca_file` cannot be read."""
        if self._ca_file is None:
            return httpx2.create_ssl_context()
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:  # `ssl.SSLError` is one, too
            raise ProviderUnavailable(f"`{self._ca_file}`: {error}") from error


class HttpConnection:
    """The connection pool of one provider."""

    def __init__(self, trust: TLSContext) -> None:
        self._trust = trust
        self._pool: httpx2.AsyncHTTPTransport | None = None

    async def client(self) -> httpx2.AsyncClient:
        """Return a new client that uses this pool. Use one for each exchange, because a client
        keeps cookies."""
        return httpx2.AsyncClient(**await self.options())

    async def options(self) -> dict[str, Any]:
        """Return the constructor arguments of a client that uses this pool."""
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
        """Close the pool; the next client opens a new one."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBody:
    """A response body.

    `kind`: its media type in lower case, without parameters.
    """

    url: str
    kind: str
    content: bytes = field(repr=False)

    def json(self) -> object:
        """Return the decoded JSON. Raises `ProviderUnavailable` when the body is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise ProviderUnavailable(f"`{self.url}`: not JSON") from error


@asynccontextmanager
async def bounded_exchange(what: str) -> AsyncIterator[None]:
    """Limit the block to `TOTAL_SECONDS` and turn its timeouts and network errors into
    `ProviderUnavailable`.

    `what`: the subject of the error message.
    """
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
    """Return the body of a GET request. Raises `ProviderUnavailable` for network errors and for
    every status but 200, as `AccessDenied` for 401, 403 and 404 unless they report a rate limit."""
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    async with bounded_exchange(f"`{url}`"):
        response = await client.get(url, headers=headers)
    if response.status_code in _ACCESS_DENIED and not _is_rate_limited(response):
        raise AccessDenied(f"`{url}`: status {response.status_code}")
    if response.status_code != 200:
        raise ProviderUnavailable(f"`{url}`: status {response.status_code}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return HttpBody(url=url, kind=kind, content=response.content)


async def post_form(
    client: httpx2.AsyncClient, url: str, form: Mapping[str, str], *, headers: Mapping[str, str]
) -> tuple[int, object]:
    """Return the status and the decoded JSON of a POST request. Raises `ProviderUnavailable`."""
    async with bounded_exchange(f"`{url}`"):
        response = await client.post(url, data=dict(form), headers=dict(headers))
    return response.status_code, HttpBody(url=url, kind="", content=response.content).json()


def _is_rate_limited(response: httpx2.Response) -> bool:
    """Whether the response reports a rate limit, which GitHub does with 403 ("Rate limits for the
    REST API")."""
    return "retry-after" in response.headers or response.headers.get("x-ratelimit-remaining") == "0"
