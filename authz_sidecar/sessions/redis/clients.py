"""Clients for each kind of place a Redis may be, with every option of their behaviour spelled out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from authz_sidecar.sessions.location import StoreKind, StoreLocation

CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 1.0
MAX_CONNECTIONS = 32
# A Sentinel that does not answer must leave time for the next one.
_SENTINEL_TIMEOUT = 0.3


class Closing(Protocol):
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Connected:
    """A client that has connected to nothing yet, and whatever else goes with it."""

    client: Redis | RedisCluster
    companions: tuple[Closing, ...] = ()

    async def aclose(self) -> None:
        for each in (self.client, *self.companions):
            await each.aclose()


def connect(location: StoreLocation) -> Connected:
    place, options = location.place, _options(location)
    match location.kind:
        case StoreKind.SENTINEL:
            return _behind_sentinels(location)
        case StoreKind.CLUSTER:
            nodes = [ClusterNode(host, port) for host, port in location.hosts]
            return Connected(RedisCluster(startup_nodes=nodes, retry=_retry(2), **options))
        case StoreKind.UNIX:
            options |= {"unix_socket_path": place.path}
        case _:
            host, port = location.hosts[0]
            options |= {"host": host, "port": port}
    return Connected(Redis(db=place.db, retry=_retry(1), **options))


def _behind_sentinels(location: StoreLocation) -> Connected:
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
        location.place.service, db=location.place.db, retry=_retry(1), **options
    )
    return Connected(primary, tuple(sentinel.sentinels))


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
