"""Clients for each kind of place a Redis may be, with every option of their behaviour spelled out."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.redis.connections import (
    ClusterConnection,
    ClusterTlsConnection,
    IdentifiedConnection,
    PrimaryChangedError,
    SentinelConnection,
    SentinelTlsConnection,
    TcpConnection,
    TlsConnection,
    UnixConnection,
)
from authz_sidecar.sessions.redis.primaries import PrimaryRegistry
from authz_sidecar.sessions.store_url import StoreKind, StoreLocation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    # HOUSE-REMOVED

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.0
MAX_CONNECTIONS = 32
# A Sentinel that does not answer must leave time for the next one.
_SENTINEL_SECONDS = 0.3


class AsyncClosable(Protocol):
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConnections:
    """A client that has connected to nothing yet, what its connections report, and whatever else
    goes with it."""

    client: Redis | RedisCluster
    primaries: PrimaryRegistry = field(default_factory=PrimaryRegistry)
    sentinels: tuple[AsyncClosable, ...] = ()

    @property
    def is_cluster(self) -> bool:
        return isinstance(self.client, RedisCluster)

    async def dedicated_connections(self) -> list[IdentifiedConnection]:
        """A connection of its own to each primary, not opened yet. A cluster is asked anew who they
        are."""
        client = self.client
        if isinstance(client, RedisCluster):
            await _refresh_topology(client)
            return [_new_connection(node) for node in client.get_primaries()]
        return [client.connection_pool.make_connection()]  # type: ignore[no-untyped-call]

    async def dedicated_connection_for(self, key: str) -> IdentifiedConnection:
        """The same, to the primary that holds the key."""
        client = self.client
        if isinstance(client, RedisCluster):
            await _refresh_topology(client)
            node = client.get_node_from_key(key)
            if node is None:
                raise RedisConnectionError("no primary holds the key")
            return _new_connection(node)
        [connection] = await self.dedicated_connections()
        return connection

    def dedicated_connection_to(self, host: str, port: int) -> IdentifiedConnection:
        """The same, to a server of a cluster that another one has named."""
        assert isinstance(self.client, RedisCluster)  # noqa: S101  nobody else names servers
        return _new_connection(ClusterNode(host, port, **self.client.connection_kwargs))

    async def aclose(self) -> None:
        for client in (self.client, *self.sentinels):
            await client.aclose()


async def _refresh_topology(client: RedisCluster) -> None:
    await client.initialize()
    await client.nodes_manager.initialize()


def _new_connection(node: ClusterNode) -> IdentifiedConnection:
    connection = node.connection_class(**node.connection_kwargs)
    assert isinstance(connection, IdentifiedConnection)  # noqa: S101  for types
    return connection


def open_client(location: StoreLocation, *, identified: bool = True) -> RedisConnections:
    """The client for a location. `identified` is that of `PrimaryRegistry`."""
    path, options = location.path, _client_options(location)
    primaries = PrimaryRegistry(identified=identified)
    tls = location.tls is not None
    match location.kind:
        case StoreKind.SENTINEL:
            return _open_sentinel_client(location, primaries)
        case StoreKind.CLUSTER:
            return _cluster(location, primaries)
        case StoreKind.UNIX:
            kind: type[IdentifiedConnection] = UnixConnection
            options |= {"path": path.socket_path}
            del options["socket_keepalive"]
        case _:
            kind = TlsConnection if tls else TcpConnection
            host, port = location.hosts[0]
            options |= {"host": host, "port": port}
    options.pop("ssl", None)
    pool = ConnectionPool(
        connection_class=kind, primaries=primaries, db=path.db, retry=_retry(1), **options
    )
    return RedisConnections(client=Redis.from_pool(pool), primaries=primaries)


def _open_sentinel_client(location: StoreLocation, primaries: PrimaryRegistry) -> RedisConnections:
    login = location.sentinel
    options = _client_options(location)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        location.hosts,
        sentinel_kwargs=options
        | {
            "username": login and login.username,
            "password": login and login.password,
            "socket_timeout": _SENTINEL_SECONDS,
            "socket_connect_timeout": _SENTINEL_SECONDS,
            "retry": _retry(0),
        },
    )
    primary = sentinel.master_for(
        location.path.service,
        connection_class=SentinelTlsConnection if location.tls else SentinelConnection,
        primaries=primaries,
        db=location.path.db,
        retry=_retry(1),
        **options,
    )
    return RedisConnections(
        client=primary, primaries=primaries, sentinels=tuple(sentinel.sentinels)
    )


def _cluster(location: StoreLocation, primaries: PrimaryRegistry) -> RedisConnections:
    nodes = [ClusterNode(host, port) for host, port in location.hosts]
    client = RedisCluster(startup_nodes=nodes, retry=_retry(2), **_client_options(location))
    # The client offers no choice of the class of its connections. What it makes of nodes that it
    # hears of later follows these options.
    kind = ClusterTlsConnection if location.tls else ClusterConnection
    client.connection_kwargs |= {"connection_class": kind, "primaries": primaries}
    startup: Iterable[ClusterNode] = client.nodes_manager.startup_nodes.values()
    for node in startup:
        node.connection_class = kind
        node.connection_kwargs["primaries"] = primaries
    return RedisConnections(client=client, primaries=primaries)


def _client_options(location: StoreLocation) -> dict[str, Any]:
    options: dict[str, Any] = {
        "username": location.username,
        "password": location.password,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": READ_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "max_connections": MAX_CONNECTIONS,
        "protocol": 3,
        "decode_responses": False,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if location.tls is not None:
        options |= {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": location.tls.ca_certs,
            "ssl_certfile": location.tls.certfile,
            "ssl_keyfile": location.tls.keyfile,
        }
    return options


def _retry(retries: int) -> Retry:
    # Once, and at once: for a connection that died while it was idle. What timed out is not asked
    # a second time.
    return Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))


DEADLINE_SECONDS = 2.0

T = TypeVar("T")

_REPLICA_ERRORS = ("READONLY", "MASTERDOWN")


class BoundedClient:
    """`kind` and `name` say who does not answer. Calls that wait for a connection wait here."""

    __slots__ = ("_connections", "_kind", "_name", "_slots")

    def __init__(self, connections: RedisConnections, *, kind: str, name: str) -> None:
        self._connections = connections
        self._kind = kind
        self._name = name
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    async def __call__(self, command: Callable[[Any], Awaitable[T]]) -> T:
        """What `command` returns, given the client. It is called a second time after a replica has
        refused it, or the primary has changed while it connected. Raises `StoreUnavailable`."""
        client = self._connections.client
        async with self.deadline():
            if isinstance(client, RedisCluster) and client.get_default_node() is None:
                # Until it knows the slots the client sends commands to any node, and every `MOVED`
                # would end the epoch.
                await client.initialize()
            try:
                return await command(client)
            except PrimaryChangedError:
                pass
            except ResponseError as error:
                if not any(word in str(error) for word in _REPLICA_ERRORS):
                    raise
                self._connections.primaries.end_term("it refuses as a replica does")
            return await command(client)

    @contextlib.asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """`DEADLINE_SECONDS` seconds for what is done inside. Raises `StoreUnavailable` for its
        errors."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._slots:
                yield
        # Beside its own errors the client lets those of sockets, DNS and its parsers through.
        except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
            raise self.unavailable(str(error) or type(error).__name__) from error

    def unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"{self._kind} `{self._name}` cannot answer: {reason}")
