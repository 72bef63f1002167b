"""Two servers behind one address that changes hands, and what may become of the former primary."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions.factory import open_store
from tests.servers.sidecar import free_ports
from tests.sessions.caches import build_sessions
from tests.sessions.forwarder import Forwarder, forwarding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from authz_sidecar.sessions.service import SessionService
    from authz_sidecar.sessions.store import SessionStore
    from tests.servers.redis import RedisServer, RedisStarter


def follows_nobody(old: RedisServer) -> None:
    old.command("REPLICAOF", "127.0.0.1", free_ports(1)[0])


def follows_and_takes_writes(old: RedisServer) -> None:
    old.command("CONFIG", "SET", "replica-read-only", "no")
    follows_nobody(old)


def follows_and_says_nothing(old: RedisServer) -> None:
    old.command("CONFIG", "SET", "replica-serve-stale-data", "no")
    follows_nobody(old)


def knows_nothing_of_it(old: RedisServer) -> None:
    """It is not told, and goes on as a primary."""


def hangs(old: RedisServer) -> None:
    old.pause()


FORMER: dict[str, Callable[[RedisServer], None]] = {
    "is a replica, cut off": follows_nobody,
    "is a replica that takes writes": follows_and_takes_writes,
    "is a replica that refuses reads": follows_and_says_nothing,
    "still thinks it is the primary": knows_nothing_of_it,
    "hangs": hangs,
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`here` is reached by the address, `there` by itself."""

    old: RedisServer
    new: RedisServer
    link: Forwarder
    here: SessionStore
    there: SessionStore

    def sessions(self) -> SessionService:
        return build_sessions(self.here)

    def elsewhere(self) -> SessionService:
        """Another replica of ours, which is with the new primary."""
        return build_sessions(self.there)

    def fail_over(self, former: Callable[[RedisServer], None]) -> None:
        """All that is in the old server is in the new one; nothing that comes after this is."""
        copy(self.old, self.new)
        self.link.lead_to(self.new.socket_path if self.link.path else self.new.port)
        former(self.old)


def copy(source: RedisServer, target: RedisServer) -> None:
    target.flush()
    for key in source.all_keys():
        ttl = source.command("PTTL", key)
        dump = source.command("DUMP", key)
        if dump is not None:
            target.command("RESTORE", key, max(0, ttl), dump, "REPLACE")


@contextlib.asynccontextmanager
async def pair(
    start_redis: RedisStarter,
    *,
    socket: bool = False,
    marked: bytes = b"TRACKING",
    rights: tuple[str, ...] = ("+@all",),
) -> AsyncIterator[Pair]:
    """`rights` are those of the user that we are there."""
    old, new = start_redis(), start_redis()
    for server in (old, new):
        server.command("ACL", "SETUSER", "app", "on", ">pw", "~az:*", *rights)
    target = old.socket_path if socket else old.port
    async with forwarding(target, socket=socket, marker=marked) as link:
        url = link.url.replace("://", "://app:pw@")
        async with opened(url) as here, opened(new.url) as there:
            try:
                yield Pair(old=old, new=new, link=link, here=here, there=there)
            finally:
                old.resume()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[SessionStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        await store.aclose()
