"""The middleware that isolates all responses of the web listener from other sites, errors of the
framework included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.browser_headers import with_isolation_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class IsolationMiddleware:
    """ASGI middleware that adds the headers of `core/browser_headers.py` where they are missing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_isolated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (n.decode("latin-1"), v.decode("latin-1")) for n, v in message["headers"]
                ]
                lines = with_isolation_headers(message["status"], tuple(headers))[len(headers) :]
                added = [(name.encode("ascii"), value.encode("ascii")) for name, value in lines]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, send_isolated if scope["type"] == "http" else send)
