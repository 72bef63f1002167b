"""Sessions as sign-ins write them, a million of them within a minute or two: made by the service
that makes them all, over a store that sends what is written in large batches."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, cast

from redis import Redis

from authz_sidecar.core.types import Identity
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService

if TYPE_CHECKING:
    from redis.client import Pipeline

    from authz_sidecar.sessions.store import SessionStore, StoreEntry

HOST = "app.example.com"
SCOPE = f"https://{HOST}"
SECRET_KEY = "benchmark" * 4
LIFETIME, IDLE_TIMEOUT = 14 * 3600.0, 3600.0
_CHUNK, _BATCH = 25_000, 500


def build_identity(number: int) -> Identity:
    """With the claims of a typical ID token."""
    subject, name = f"00u{number:017x}", f"Alice Liddell {number}"
    email, groups = f"alice.{number}@example.com", ("eng", "ops", "oncall")
    return Identity(
        provider="corp",
        issuer="https://idp.example.com",
        subject=subject,
        email=email,
        name=name,
        groups=groups,
        claims={
            "iss": "https://idp.example.com",
            "sub": subject,
            "name": name,
            "email": email,
            "email_verified": True,
            "groups": list(groups),
            "given_name": "Alice",
            "family_name": "Liddell",
            "preferred_username": f"alice.{number}",
            "picture": f"https://idp.example.com/avatars/{number:08x}.png",
            "locale": "en-GB",
            "updated_at": 1_790_000_000,
        },
        authenticated_at=time.time(),
        amr=("pwd", "otp"),
    )


def open_sessions(store: SessionStore) -> SessionService:
    """As the sidecars of the benchmarks keep them."""
    return SessionService(
        store=store,
        secret_keys=SecretKeys([SECRET_KEY.encode()]),
        lifetime=LIFETIME,
        idle_timeout=IDLE_TIMEOUT,
    )


def seed_sessions(url: str, count: int, *, processes: int = 2) -> list[str]:
    """The tokens of so many new sessions, each of another person."""
    chunks = [(first, min(_CHUNK, count - first)) for first in range(0, count, _CHUNK)]
    if len(chunks) < 2:
        return [token for chunk in chunks for token in _seed_chunk(url, chunk)]
    with ProcessPoolExecutor(processes) as pool:
        return [token for some in pool.map(partial(_seed_chunk, url), chunks) for token in some]


class _PipelineStore:
    """The part of a store that a sign-in needs. Nobody was signed out of it yet."""

    def __init__(self, pipe: Pipeline) -> None:
        self._pipe = pipe

    async def read(self, *keys: str) -> tuple[None, ...]:
        return (None,) * len(keys)

    async def write(self, *entries: StoreEntry) -> None:
        for entry in entries:
            self._pipe.set(entry.key, entry.value, px=round(entry.ttl * 1000))

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        self._pipe.zadd(key, {member: expires_at})
        self._pipe.pexpire(key, round((expires_at - now) * 1000))


def _seed_chunk(url: str, chunk: tuple[int, int]) -> list[str]:
    first, count = chunk

    async def fill_all() -> list[str]:
        tokens = []
        with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipe:
            sessions = open_sessions(cast("SessionStore", _PipelineStore(pipe)))
            for number in range(first, first + count):
                token, _ = await sessions.create(
                    identity=build_identity(number),
                    scope=SCOPE,
                    provider_session=f"sid-{number:032x}",
                    client="203.0.113.7",
                    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0",
                )
                tokens.append(token)
                if len(tokens) % _BATCH == 0:
                    pipe.execute()
            pipe.execute()
        return tokens

    return asyncio.run(fill_all())
