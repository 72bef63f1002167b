"""Connections that know which server they lead to: it is asked once, when they are made.

`HELLO` says whether the server is a primary, and needs no right. `INFO server` names its process
(`run_id`), which the user must be allowed to ask; otherwise a connection is used once only, since
the next one may lead to another server.
https://redis.io/docs/latest/commands/hello/, https://redis.io/docs/latest/commands/info/
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, ResponseError

from authz_sidecar.sessions.redis.primaries import SENTINELS_ADDRESS, OutdatedReportError

if TYPE_CHECKING:
    from authz_sidecar.sessions.redis.primaries import ConnectionAttempt, PrimaryRegistry

_NO_GENERATION = -1
_RUN_ID = b"\r\nrun_id:"


class PrimaryChangedError(RedisConnectionError):
    """A connection that began before the primary changed."""


class IdentifiedConnection(AbstractConnection):
    """A connection that reports its server to `PrimaryRegistry`, and refuses a replica.
    `generation` is that of `PrimaryRegistry` in which it was made; `run_id` is None where the user
    may not ask for it."""

    def __init__(self, *, primaries: PrimaryRegistry, **options: Any) -> None:
        super().__init__(**options)
        self._primaries = primaries
        self._attempt: ConnectionAttempt = primaries.begin_attempt()
        self.generation = _NO_GENERATION
        self.run_id: str | None = None

    @property
    def address(self) -> str:
        """Host and port in a cluster; otherwise there is one place only."""
        return ""

    def is_outdated(self) -> bool:
        """Whether it must not be used any more."""
        return self.generation != self._primaries.generation

    def abort(self) -> None:
        """Close the socket at once; a read or write under way fails."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _send_packed_command(self, command: Any) -> None:
        # The client closes the connections of a node that it replaces, also those that are just
        # being made, and would then write to nothing.
        if self._writer is None:
            raise RedisConnectionError("the connection was closed while it was in use")
        await super()._send_packed_command(command)

    async def connect(self) -> None:
        """Connect unless it is connected; what is outdated is connected anew."""
        if self.is_connected and self.is_outdated():
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def disconnect(self, nowait: bool = False, *rest: Any, **options: Any) -> None:  # noqa: FBT001, FBT002
        # No long farewell to a server that may be gone.
        await super().disconnect(nowait or self.is_outdated(), *rest, **options)

    async def _connect(self) -> None:
        self._primaries.unregister(self)
        self._attempt = self._primaries.begin_attempt()
        self.generation = _NO_GENERATION
        await super()._connect()  # type: ignore[no-untyped-call, safe-super]

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002
        await super().on_connect_check_health(check_health=check_health)
        questions: list[tuple[str | int, ...]] = [("HELLO", 3)]
        if self._primaries.identified:
            questions.append(("INFO", "server"))
        await self.send_packed_command(self.pack_commands(questions), check_health=False)
        hello, *infos = [await self.read_response_or_error() for _ in questions]
        self.run_id = _run_id(infos[0]) if infos else None
        role = hello.get(b"role") if isinstance(hello, dict) else None
        try:
            self.generation = self._check_role(role)
        except OutdatedReportError:
            raise PrimaryChangedError("its primary has changed meanwhile") from None
        self._primaries.register(self)

    def _check_role(self, role: bytes | None) -> int:
        if role == b"master":
            return self._report_identity(self.address, self.run_id)
        self._primaries.report_replica(self.address)
        if role is None:
            raise RedisConnectionError("the server does not say whether it is a primary")
        raise RedisConnectionError("the server is a read only replica, not a primary")

    def _report_identity(self, address: str, identity: str | None) -> int:
        if identity is None:
            return _NO_GENERATION
        return self._primaries.report(self._attempt, address, identity)

    async def read_response_or_error(self) -> Any:
        """The next answer, or the error that it is."""
        try:
            return await self.read_response()
        except ResponseError as error:
            return error


class TcpConnection(IdentifiedConnection, Connection):
    """To a host and port."""


class TlsConnection(IdentifiedConnection, SSLConnection):
    """To a host and port, over TLS."""


class _UnixConnection(UnixDomainSocketConnection):
    async def _connect(self) -> None:
        # The client's own would greet the server here, and once more afterwards.
        async with asyncio.timeout(self.socket_connect_timeout):
            self._reader, self._writer = await asyncio.open_unix_connection(path=self.path)


class UnixConnection(IdentifiedConnection, _UnixConnection):
    """To a Unix socket."""


class _SentinelConnection(SentinelManagedConnection):
    """The Sentinels are asked whenever it connects, also in the middle of a command."""

    _attempt: ConnectionAttempt
    _primaries: PrimaryRegistry

    async def _connect_retry(self) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False, retry_socket_connect=False)

    async def _connect(self) -> None:
        self.host, self.port = await self.connection_pool.get_master_address()
        try:
            self._primaries.report(self._attempt, SENTINELS_ADDRESS, f"{self.host}:{self.port}")
        except OutdatedReportError:
            raise PrimaryChangedError("the Sentinels name another primary by now") from None
        self._attempt = self._primaries.begin_attempt()
        await super()._connect()  # type: ignore[no-untyped-call]


class SentinelConnection(IdentifiedConnection, _SentinelConnection):
    """To the primary that the Sentinels name."""


class SentinelTlsConnection(IdentifiedConnection, _SentinelConnection, SSLConnection):
    """To the primary that the Sentinels name, over TLS."""


class ClusterConnection(IdentifiedConnection, Connection):
    """To one of many servers, which know by themselves for which keys they are not asked rightly."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def should_reconnect(self) -> bool:
        """Asked before every use in a cluster."""
        outdated: bool = self.is_outdated() or super().should_reconnect()  # type: ignore[no-untyped-call]
        return outdated

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except MovedError:
            self._primaries.end_epoch("slots have moved")
            raise

    def _check_role(self, role: bytes | None) -> int:
        if role == b"master":
            return self._report_identity(self.address, self.run_id)
        # It tells where the slots are, and nothing else.
        self._primaries.report_replica(self.address)
        return _NO_GENERATION


class ClusterTlsConnection(ClusterConnection, SSLConnection):
    """The same over TLS."""


def _run_id(info: Any) -> str | None:
    text = info if isinstance(info, bytes) else str(info).encode()
    _, found, rest = (b"\r\n" + text).partition(_RUN_ID)
    run_id = rest.split(b"\r\n", 1)[0]
    return run_id.decode("ascii", "replace") if found and run_id else None
