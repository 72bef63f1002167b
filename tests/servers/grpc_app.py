"""A gRPC application that answers every call with the metadata it received, and a client of it."""

from __future__ import annotations

import contextlib
import json
from concurrent import futures
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from tests.servers.sidecar import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SERVICE = "/echo.Echo/"
CALL, STREAM, REFUSE = f"{SERVICE}Call", f"{SERVICE}Stream", f"{SERVICE}Refuse"

Metadata = tuple[tuple[str, str], ...]


class Outcome(NamedTuple):
    """`code` as gRPC names it; what the application says it received, where it was reached."""

    code: str
    details: str
    metadata: Metadata = ()
    body: str = ""


class _Echo(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped
    def service(self, call: Any) -> Any:
        if call.method.endswith("/Stream"):
            return grpc.stream_stream_rpc_method_handler(_stream)
        if call.method.endswith("/Refuse"):
            return grpc.unary_unary_rpc_method_handler(_refuse)
        return grpc.unary_unary_rpc_method_handler(_call)


def _call(request: bytes, context: Any) -> bytes:
    return _echo(context, request)


def _stream(requests: Iterable[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        yield _echo(context, request)


def _refuse(_request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.PERMISSION_DENIED, "the application says so")
    raise AssertionError("unreachable")


def _echo(context: Any, request: bytes) -> bytes:
    metadata = [(key, value) for key, value in context.invocation_metadata()]
    return json.dumps({"metadata": metadata, "body": request.decode("latin-1")}).encode()


@contextlib.contextmanager
def running_grpc_app() -> Iterator[Listener]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Listener("127.0.0.1", port)
    finally:
        server.stop(None).wait(10)


class GrpcClient:
    """Calls through a proxy with TLS; the host is the one that is asked for."""

    def __init__(self, port: int, *, host: str, trusted: Path) -> None:
        self._channel = grpc.secure_channel(
            f"127.0.0.1:{port}",
            grpc.ssl_channel_credentials(trusted.read_bytes()),
            options=[("grpc.ssl_target_name_override", host), ("grpc.default_authority", host)],
        )

    def call(self, method: str, metadata: Iterable[tuple[str, str]], body: bytes = b"") -> Outcome:
        pairs = [(name.lower(), value) for name, value in metadata]
        try:
            if method.endswith("/Stream"):
                stream = self._channel.stream_stream(method)
                [*_, answer] = stream(iter([body, body]), metadata=pairs, timeout=20)
            else:
                answer = self._channel.unary_unary(method)(body, metadata=pairs, timeout=20)
        except grpc.RpcError as error:
            return Outcome(error.code().name, error.details() or "")
        received = json.loads(answer)
        return Outcome("OK", "", tuple((n, v) for n, v in received["metadata"]), received["body"])

    def close(self) -> None:
        self._channel.close()
