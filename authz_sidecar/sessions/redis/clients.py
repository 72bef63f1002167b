"""Redis clients for each kind of store location, and the bounds on their commands.

Every option of the client's behaviour is set explicitly. Every command ends within a bounded time,
and every error of the client becomes `StoreUnavailable`. Must not know what the keys mean.
"""

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

T = TypeVar("T")

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.0
DEADLINE_SECONDS = 2.0
MAX_CONNECTIONS = 32
# A Sentinel that does not answer must leave time for the next one.
_SENTINEL_SECONDS = 0.3
_REPLICA_ERRORS = ("READONLY", "MASTERDOWN")


class AsyncClosable(Protocol):
    """A client with connections to close."""

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConnections:
    """A client that has not connected yet, with the registry that its connections report to.

    `client`: the client for commands.
    `primaries`: the registry of its primaries.
    `sentinels`: the clients of the Sentinels, which are closed with it.
    """

    client: Redis | RedisCluster
    primaries: PrimaryRegistry = field(default_factory=PrimaryRegistry)
    sentinels: tuple[AsyncClosable, ...] = ()

    @property
    def is_cluster(self) -> bool:
        """Whether the client is for a cluster."""
        return isinstance(self.client, RedisCluster)

    async def dedicated_connections(self) -> list[IdentifiedConnection]:
        """New connections outside the pool, one to each primary, not opened yet. Reads the
        topology of a cluster first."""
        client = self.client
        if isinstance(client, RedisCluster):
            await _refresh_topology(client)
            return [_new_connection(node) for node in client.get_primaries()]
        return [client.connection_pool.make_connection()]  # type: ignore[no-untyped-call]

    async def dedicated_connection_for(self, key: str) -> IdentifiedConnection:
        """A new connection outside the pool to the primary that holds the key, not opened yet.
        Raises `RedisConnectionError` when no primary of the cluster holds it."""
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
        """A new connection outside the pool to a server that a cluster redirected to, not opened
        yet."""
        assert isinstance(self.client, RedisCluster)  # noqa: S101  only clusters redirect
        return _new_connection(ClusterNode(host, port, **self.client.connection_kwargs))

    async def aclose(self) -> None:
        """Close all connections, also those to Sentinels."""
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
    """The client for a store location, not connected yet. `identified` is passed on to
    `PrimaryRegistry`."""
    path, options = location.path, _client_options(location)
    primaries = PrimaryRegistry(identified=identified)
    match location.kind:
        case StoreKind.SENTINEL:
            return _open_sentinel_client(location, primaries)
        case StoreKind.CLUSTER:
            return _open_cluster_client(location, primaries)
        case StoreKind.UNIX:
            connection_class: type[IdentifiedConnection] = UnixConnection
            options |= {"path": path.socket_path}
            del options["socket_keepalive"]
        case _:
            connection_class = TlsConnection if location.tls else TcpConnection
            host, port = location.hosts[0]
            options |= {"host": host, "port": port}
    options.pop("ssl", None)
    pool = ConnectionPool(
        connection_class=connection_class,
        primaries=primaries,
        db=path.db,
        retry=_retry(1),
        **options,
    )
    return RedisConnections(client=Redis.from_pool(pool), primaries=primaries)


def _open_sentinel_client(location: StoreLocation, primaries: PrimaryRegistry) -> RedisConnections:
    credentials = location.sentinel
    options = _client_options(location)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        location.hosts,
        sentinel_kwargs=options
        | {
            "username": credentials and credentials.username,
            "password": credentials and credentials.password,
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


def _open_cluster_client(location: StoreLocation, primaries: PrimaryRegistry) -> RedisConnections:
    nodes = [ClusterNode(host, port) for host, port in location.hosts]
    client = RedisCluster(startup_nodes=nodes, retry=_retry(2), **_client_options(location))
    # The client has no option for the class of its connections. Nodes that it discovers later are
    # made with `connection_kwargs`.
    connection_class = ClusterTlsConnection if location.tls else ClusterConnection
    client.connection_kwargs |= {"connection_class": connection_class, "primaries": primaries}
    startup_nodes: Iterable[ClusterNode] = client.nodes_manager.startup_nodes.values()
    for node in startup_nodes:
        node.connection_class = connection_class
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
    # Without a delay: for a connection that was closed while it was idle. A command that timed out
    # is not repeated.
    return Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))


class BoundedClient:
    """Runs commands with a deadline and a limit of concurrency.

    `connections`: the client to use.
    `kind`: what the Redis is used for, as error messages name it.
    `name`: its location, as error messages name it.
    """

    __slots__ = ("_connections", "_kind", "_name", "_slots")

    def __init__(self, connections: RedisConnections, *, kind: str, name: str) -> None:
        self._connections = connections
        self._kind = kind
        self._name = name
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    async def __call__(self, command: Callable[[Any], Awaitable[T]]) -> T:
        """The result of `command`, which is called with the client. It is called again once when a
        replica refused it, or when the primary changed while connecting. Raises
        `StoreUnavailable`."""
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
        """A context of `DEADLINE_SECONDS`, the wait for a free slot included. Raises
        `StoreUnavailable` in place of the client's errors."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._slots:
                yield
        # The client also raises errors of sockets, DNS and its parsers.
        except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
            raise self.unavailable(str(error) or type(error).__name__) from error

    def unavailable(self, reason: str) -> StoreUnavailable:
        """The error for this Redis with a reason."""
        return StoreUnavailable(f"{self._kind} `{self._name}` cannot answer: {reason}")
