"""The operators' listener: health, readiness, metrics, status and recent denials.

Calls an `Operations` implementation, which is in another process when there are several workers.
"""

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
    """The readiness of the server; `missing` has a message for each part that is not ready."""

    missing: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


class Operations(Protocol):
    """Reports the state of the server."""

    def answering(self) -> bool:
        """Whether checks are answered."""

    async def readiness(self) -> Readiness:
        """Return which parts are ready."""

    async def metrics_page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""

    async def status(self) -> Mapping[str, Any]:
        """Return the state of configuration and workers, as JSON values."""

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        """Return the explanation of a recent denial; None when it is not kept."""


def build_ops_app(operations: Operations) -> Starlette:
    """Return the application behind `ops_listen`."""

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
        explanation = await operations.denial(request.path_params["request_id"])
        if explanation is None:
            return _json_response(404, {"error": "no recent denial has this request id"})
        return _json_response(200, explanation)

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
