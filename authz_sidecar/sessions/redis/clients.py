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
from authz_sidecar.sessions.redis.primaries import Primaries
from authz_sidecar.sessions.store_url import StoreKind, StoreLocation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    # HOUSE-REMOVED

CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 1.0
MAX_CONNECTIONS = 32
# A Sentinel that does not answer must leave time for the next one.
_SENTINEL_TIMEOUT = 0.3


class Closing(Protocol):
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A client that has connected to nothing yet, what its connections report, and whatever else
    goes with it."""

    client: Redis | RedisCluster
    primaries: Primaries = field(default_factory=Primaries)
    companions: tuple[Closing, ...] = ()

    @property
    def is_cluster(self) -> bool:
        return isinstance(self.client, RedisCluster)

    async def dedicated_connections(self) -> list[IdentifiedConnection]:
        """A connection of its own to each primary, not opened yet. A cluster is asked anew who they
        are."""
        client = self.client
        if isinstance(client, RedisCluster):
            await _look(client)
            return [_to(node) for node in client.get_primaries()]
        return [client.connection_pool.make_connection()]  # type: ignore[no-untyped-call]

    async def dedicated_connection_for(self, key: str) -> IdentifiedConnection:
        """The same, to the primary that holds the key."""
        client = self.client
        if isinstance(client, RedisCluster):
            await _look(client)
            node = client.get_node_from_key(key)
            if node is None:
                raise RedisConnectionError("no primary holds the key")
            return _to(node)
        [connection] = await self.dedicated_connections()
        return connection

    def dedicated_connection_to(self, host: str, port: int) -> IdentifiedConnection:
        """The same, to a server of a cluster that another one has named."""
        assert isinstance(self.client, RedisCluster)  # noqa: S101  nobody else names servers
        return _to(ClusterNode(host, port, **self.client.connection_kwargs))

    async def aclose(self) -> None:
        for each in (self.client, *self.companions):
            await each.aclose()


async def _look(client: RedisCluster) -> None:
    await client.initialize()
    await client.nodes_manager.initialize()


def _to(node: ClusterNode) -> IdentifiedConnection:
    connection = node.connection_class(**node.connection_kwargs)
    assert isinstance(connection, IdentifiedConnection)  # noqa: S101  for types
    return connection


def connect(location: StoreLocation, *, identified: bool = True) -> Connected:
    """The client for a location. `identified` is that of `Primaries`."""
    place, options = location.place, _options(location)
    primaries = Primaries(identified=identified)
    tls = location.tls is not None
    match location.kind:
        case StoreKind.SENTINEL:
            return _behind_sentinels(location, primaries)
        case StoreKind.CLUSTER:
            return _cluster(location, primaries)
        case StoreKind.UNIX:
            kind: type[IdentifiedConnection] = UnixConnection
            options |= {"path": place.path}
            del options["socket_keepalive"]
        case _:
            kind = TlsConnection if tls else TcpConnection
            host, port = location.hosts[0]
            options |= {"host": host, "port": port}
    options.pop("ssl", None)
    pool = ConnectionPool(
        connection_class=kind, primaries=primaries, db=place.db, retry=_retry(1), **options
    )
    return Connected(client=Redis.from_pool(pool), primaries=primaries)


def _behind_sentinels(location: StoreLocation, primaries: Primaries) -> Connected:
    login = location.sentinel
    options = _options(location)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        location.hosts,
        sentinel_kwargs=options
        | {
            "username": login and login.username,
            "password": login and login.password,
            "socket_timeout": _SENTINEL_TIMEOUT,
            "socket_connect_timeout": _SENTINEL_TIMEOUT,
            "retry": _retry(0),
        },
    )
    primary = sentinel.master_for(
        location.place.service,
        connection_class=SentinelTlsConnection if location.tls else SentinelConnection,
        primaries=primaries,
        db=location.place.db,
        retry=_retry(1),
        **options,
    )
    return Connected(client=primary, primaries=primaries, companions=tuple(sentinel.sentinels))


def _cluster(location: StoreLocation, primaries: Primaries) -> Connected:
    nodes = [ClusterNode(host, port) for host, port in location.hosts]
    client = RedisCluster(startup_nodes=nodes, retry=_retry(2), **_options(location))
    # The client offers no choice of the class of its connections. What it makes of nodes that it
    # hears of later follows these options.
    kind = ClusterTlsConnection if location.tls else ClusterConnection
    client.connection_kwargs |= {"connection_class": kind, "primaries": primaries}
    startup: Iterable[ClusterNode] = client.nodes_manager.startup_nodes.values()
    for node in startup:
        node.connection_class = kind
        node.connection_kwargs["primaries"] = primaries
    return Connected(client=client, primaries=primaries)


def _options(location: StoreLocation) -> dict[str, Any]:
    options: dict[str, Any] = {
        "username": location.username,
        "password": location.password,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": READ_TIMEOUT,
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


DEADLINE = 2.0

T = TypeVar("T")

_REPLICA_ERRORS = ("READONLY", "MASTERDOWN")


class Asking:
    """`what` and `name` say who does not answer. Calls that wait for a connection wait here."""

    __slots__ = ("_connected", "_name", "_places", "_what")

    def __init__(self, connected: Connected, *, what: str, name: str) -> None:
        self._connected = connected
        self._what = what
        self._name = name
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def __call__(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        """What `ask` returns, given the client. It is called a second time after a replica has
        refused it, or the primary has changed while it connected. Raises `StoreUnavailable`."""
        async with self.bounded():
            try:
                return await ask(self._connected.client)
            except PrimaryChangedError:
                pass
            except ResponseError as error:
                if not any(word in str(error) for word in _REPLICA_ERRORS):
                    raise
                self._connected.primaries.end_term("it refuses as a replica does")
            return await ask(self._connected.client)

    @contextlib.asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """`DEADLINE` seconds for what is done inside. Raises `StoreUnavailable` for its errors."""
        try:
            async with asyncio.timeout(DEADLINE), self._places:
                yield
        # Beside its own errors the client lets those of sockets, DNS and its parsers through.
        except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
            raise self.unavailable(str(error) or type(error).__name__) from error

    def unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"{self._what} `{self._name}` cannot answer: {reason}")
