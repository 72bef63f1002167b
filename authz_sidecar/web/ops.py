"""The operators' listener: alive, ready, how much, which configuration. Only asks; whoever can
answer is handed in, because with several workers it is another process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request


_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """`missing` says of each part that is not ready what is wrong with it."""

    missing: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return not self.missing


class Operations(Protocol):
    """Whoever knows the state of the server."""

    def answering(self) -> bool:
        """Whether checks are answered."""

    async def readiness(self) -> Readiness: ...

    async def metrics_page(self) -> bytes:
        """As Prometheus reads it."""

    async def status(self) -> Mapping[str, Any]: ...

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        """The explanation of a recent denial; None where it is not remembered."""


def build_ops_app(operations: Operations) -> Starlette:
    async def healthz(_request: Request) -> Response:
        if operations.answering():
            return _json_response(200, {"status": "ok"})
        return _json_response(503, {"status": "no worker answers checks"})

    async def readyz(_request: Request) -> Response:
        readiness = await operations.readiness()
        if readiness.ready:
            return _json_response(200, {"ready": True})
        return _json_response(503, {"ready": False, "missing": dict(readiness.missing)})

    async def metrics(_request: Request) -> Response:
        page = await operations.metrics_page()
        return Response(page, headers={"content-type": _METRICS_TYPE, "cache-control": "no-store"})

    async def status(_request: Request) -> Response:
        return _json_response(200, await operations.status())

    async def denial(request: Request) -> Response:
        explained = await operations.denial(request.path_params["request_id"])
        if explained is None:
            return _json_response(404, {"error": "no recent denial has this request id"})
        return _json_response(200, explained)

    app = Starlette(
        routes=[
            _get_route("/healthz", healthz),
            _get_route("/readyz", readyz),
            _get_route("/metrics", metrics),
            _get_route("/status", status),
            _get_route("/status/denials/{request_id}", denial),
        ]
    )
    app.router.redirect_slashes = False
    return app


def _get_route(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    return Route(path, endpoint, methods=["GET"])


def _json_response(status: int, content: Mapping[str, Any]) -> Response:
    return Response(
        json.dumps(content, indent=2) + "\n",
        status_code=status,
        headers={"content-type": "application/json", "cache-control": "no-store"},
    )
