"""Bad input in bulk: memory stays bounded, and whoever asks honestly meanwhile is answered rightly.
`benchmarks/abuse.py` does the same with larger numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import Identity
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.factory import open_store
from tests.server.test_dependencies import provider
from tests.servers import abuse
from tests.servers.sidecar import SECRET_KEY, running_sidecar

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable, Iterator

    from tests.servers.providers import RunningProvider
    from tests.servers.redis import RedisServer
    from tests.servers.sidecar import Listener, Sidecar

    Attack = Callable[[Listener], Awaitable[Counter[int]]]

__all__ = ["provider"]

MIB = 1 << 20


def configuration(issuer: str, store: str, *, fast_lane: bool) -> dict[str, Any]:
    return {
        "server": {"adapters": ["nginx"], "fast_lane": fast_lane},
        "sessions": {"store": store},
        "identity_providers": {"corp": {"issuer": issuer, "client_id": "authz"}},
        "routes": [
            {"from": f"https://{abuse.APP_HOST}", "allow_any_authenticated_user": True},
            {
                "from": f"https://{abuse.PUBLIC_HOST}",
                "allow_public_unauthenticated_access": True,
            },
            {
                "from": f"https://*.{abuse.ANY_HOST}",
                "allow_public_unauthenticated_access": True,
            },
        ],
    }


async def signed_in(store: str) -> str:
    """The cookie of alice."""
    sessions = SessionService(
        store=open_store(store),
        secret_keys=SecretKeys([SECRET_KEY.encode()]),
        lifetime=3600,
        idle_timeout=3600,
    )
    alice = Identity(provider="corp", issuer="http://127.0.0.1:1", subject="alice")
    token, _ = await sessions.create(identity=alice, scope=f"https://{abuse.APP_HOST}")
    await sessions._store.aclose()
    return f"__Host-authz={token}"


@pytest.fixture(params=["lane", "framework"], scope="module")
def sidecar(
    request: pytest.FixtureRequest,
    provider: RunningProvider,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sidecar]:
    lane = request.param == "lane"
    config = configuration(provider.issuer, redis_server.url, fast_lane=lane)
    directory = tmp_path_factory.mktemp("abused")
    with running_sidecar(config, directory) as running:
        yield running


@pytest.mark.parametrize(
    ("attack", "statuses", "mebibytes"),
    [
        pytest.param(partial(abuse.slowloris, connections=300), {408, 0}, 24, id="Slowloris"),
        pytest.param(partial(abuse.oversized_heads, count=400), {431, 0}, 24, id="oversized heads"),
        pytest.param(partial(abuse.distinct_cookies, count=20_000), {401}, 32, id="cookies"),
        pytest.param(partial(abuse.header_floods, count=10_000), {200}, 48, id="header floods"),
        pytest.param(partial(abuse.distinct_targets, count=10_000), {200}, 32, id="targets"),
        pytest.param(
            partial(abuse.deaf_askers, connections=20, megabytes=50), set(), 32, id="deaf askers"
        ),
    ],
)
async def test_nobody_else_is_harmed(
    sidecar: Sidecar, redis_server: RedisServer, attack: Attack, statuses: set[int], mebibytes: int
) -> None:
    cookie = ("Cookie", await signed_in(redis_server.url))
    honest = abuse.Honest(
        where=sidecar.check,
        expected=(
            (abuse.question(cookie), 200, "alice"),
            (abuse.question(host=abuse.PUBLIC_HOST), 200, None),
            (abuse.question(host="nowhere.example.com"), 403, None),
        ),
    )
    suffered = await abuse.suffer(attack, honest, pid=sidecar.process.pid)
    assert honest.wrong == []
    assert honest.answered > 10
    assert set(suffered.statuses) <= statuses
    assert suffered.grown < mebibytes * MIB
