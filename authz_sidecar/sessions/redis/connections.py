"""Redis connections that identify the server they have reached, once, when they connect.

`HELLO` returns the role of the server and needs no permission. `INFO server` returns the ID of its
process (`run_id`), for which the user needs permission; without it, a connection is used only
once, since the next one may reach another server. https://redis.io/docs/latest/commands/hello/,
https://redis.io/docs/latest/commands/info/
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
    """The primary changed while the connection was being made."""


class IdentifiedConnection(AbstractConnection):
    """A connection that reports its server to `PrimaryRegistry` and refuses a replica.

    `generation`: the registry's generation in which it was made.
    `run_id`: the process ID of the server; None when the user may not read it.
    """

    def __init__(self, *, primaries: PrimaryRegistry, **options: Any) -> None:
        super().__init__(**options)
        self._primaries = primaries
        self._attempt: ConnectionAttempt = primaries.begin_attempt()
        self.generation = _NO_GENERATION
        self.run_id: str | None = None

    @property
    def address(self) -> str:
        """Host and port of a server of a cluster; empty otherwise, where there is one address
        only."""
        return ""

    def is_outdated(self) -> bool:
        """Whether it belongs to an earlier generation and must not be used."""
        return self.generation != self._primaries.generation

    def abort(self) -> None:
        """Close the socket at once; a pending read or write fails."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _send_packed_command(self, command: Any) -> None:
        # The client closes the connections of a node that it replaces, even while they are being
        # made, and would then fail with an `AttributeError`.
        if self._writer is None:
            raise RedisConnectionError("the connection was closed while it was in use")
        await super()._send_packed_command(command)

    async def connect(self) -> None:
        """Connect unless connected; an outdated connection is replaced. Raises the client's
        errors."""
        if self.is_connected and self.is_outdated():
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def disconnect(self, nowait: bool = False, *rest: Any, **options: Any) -> None:  # noqa: FBT001, FBT002
        """Close the connection; at once, without a clean shutdown, when it is outdated."""
        # A clean shutdown would wait for a server that may be gone.
        await super().disconnect(nowait or self.is_outdated(), *rest, **options)

    async def _connect(self) -> None:
        self._primaries.unregister(self)
        self._attempt = self._primaries.begin_attempt()
        self.generation = _NO_GENERATION
        await super()._connect()  # type: ignore[no-untyped-call, safe-super]

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002
        """Identify the server after connecting. Raises `PrimaryChangedError` when the primary
        changed meanwhile, and `RedisConnectionError` for a replica."""
        await super().on_connect_check_health(check_health=check_health)
        commands: list[tuple[str | int, ...]] = [("HELLO", 3)]
        if self._primaries.identified:
            commands.append(("INFO", "server"))
        await self.send_packed_command(self.pack_commands(commands), check_health=False)
        hello, *infos = [await self.read_response_or_error() for _ in commands]
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
        """The next response, or the error that it contains as a value."""
        try:
            return await self.read_response()
        except ResponseError as error:
            return error


class TcpConnection(IdentifiedConnection, Connection):
    """A connection over TCP."""


class TlsConnection(IdentifiedConnection, SSLConnection):
    """A connection over TLS."""


class _UnixConnection(UnixDomainSocketConnection):
    async def _connect(self) -> None:
        # The client's own method would run the handshake here, and `connect` once more.
        async with asyncio.timeout(self.socket_connect_timeout):
            self._reader, self._writer = await asyncio.open_unix_connection(path=self.path)


class UnixConnection(IdentifiedConnection, _UnixConnection):
    """A connection over a Unix socket."""


class _SentinelConnection(SentinelManagedConnection):
    """Resolves the primary at the Sentinels on every connect, also in the middle of a command."""

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
    """A connection over TCP to the primary that the Sentinels name."""


class SentinelTlsConnection(IdentifiedConnection, _SentinelConnection, SSLConnection):
    """A connection over TLS to the primary that the Sentinels name."""


class ClusterConnection(IdentifiedConnection, Connection):
    """A connection over TCP to a server of a cluster, which redirects commands for keys it does
    not hold."""

    @property
    def address(self) -> str:
        """Host and port of the server."""
        return f"{self.host}:{self.port}"

    def should_reconnect(self) -> bool:
        """Whether the client must reconnect before the next command."""
        outdated: bool = self.is_outdated() or super().should_reconnect()  # type: ignore[no-untyped-call]
        return outdated

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The next response. Ends the epoch when the server redirects (`MOVED`), and raises the
        client's errors."""
        try:
            return await super().read_response(*arguments, **options)
        except MovedError:
            self._primaries.end_epoch("slots have moved")
            raise

    def _check_role(self, role: bytes | None) -> int:
        if role == b"master":
            return self._report_identity(self.address, self.run_id)
        # A replica is only used to read the topology.
        self._primaries.report_replica(self.address)
        return _NO_GENERATION


class ClusterTlsConnection(ClusterConnection, SSLConnection):
    """A connection over TLS to a server of a cluster."""


def _run_id(info: Any) -> str | None:
    text = info if isinstance(info, bytes) else str(info).encode()
    _, separator, rest = (b"\r\n" + text).partition(_RUN_ID)
    run_id = rest.split(b"\r\n", 1)[0]
    return run_id.decode("ascii", "replace") if separator and run_id else None
