"""`service-account new`, `list` and `revoke` against a real Redis, and what a gate makes of it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.accounts.service_accounts import SCOPE
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.api_tokens import ApiTokenPrefix, parse_api_token
from authz_sidecar.sessions.cache import NearCache
from authz_sidecar.sessions.factory import open_store
from tests.cli.test_commands import SOUND, Run, run
from tests.cli.test_sessions import SECRET
from tests.servers.redis import RedisServer, redis_server
from tests.sessions.caches import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.core.types import Session

__all__ = ["redis_server", "run"]

ROUTES = """\
  - {name: api, from: https://api.example.com, allow_any_authenticated_user: true,
     service_accounts: true}
  - {name: deploy, from: https://deploy.example.com, allow_any_authenticated_user: true,
     service_accounts: true}
"""


@pytest.fixture
def config(redis_server: RedisServer, tmp_path: Path) -> str:
    redis_server.flush()
    path = tmp_path / "with-redis.yaml"
    path.write_text(SOUND.replace("memory://", redis_server.url) + ROUTES)
    return str(path)


def found(url: str, token: str) -> Session | None:
    """What a server with this store and secret makes of a token."""
    parts = parse_api_token(token)
    assert parts is not None
    assert parts[0] is ApiTokenPrefix.SERVICE_ACCOUNT

    async def find() -> Session | None:
        store = open_store(url)
        sessions = SessionService(
            store=store, secret_keys=SecretKeys([SECRET]), lifetime=3600, idle_timeout=3600
        )
        try:
            return await sessions.find(parts[1], scope=SCOPE, provider="service-account")
        finally:
            await store.aclose()

    return asyncio.run(find())


def test_a_token_is_printed_alone_and_opens_what_was_said(
    run: Run, config: str, redis_server: RedisServer
) -> None:
    code, out, err = run(
        *("service-account", "new", "deploy-bot", "--config", config, "--expires", "12h"),
        *("--route", "api", "--groups", "bots,ci", "--claim", "team=blue", "--claim", "n=[1, 2]"),
    )
    assert code == 0
    session = found(redis_server.url, out.strip())
    assert session is not None
    assert session.identity.subject == "service-account/deploy-bot"
    assert (session.identity.groups, session.routes) == (("bots", "ci"), ("api",))
    assert dict(session.identity.claims) == {"team": "blue", "n": [1, 2]}
    assert session.expires_at - session.created_at == 12 * 3600
    assert session.public_id in err
    assert out.strip() not in err


def test_listing(run: Run, config: str) -> None:
    assert run("service-account", "list", "--config", config) == (0, "", "")
    _, first, _ = run("service-account", "new", "one", "--config", config)
    run("service-account", "new", "two", "--config", config, "--route", "api", "--route", "deploy")
    code, out, _ = run("service-account", "list", "--config", config)
    lines = [line.split("\t")[1:3] for line in out.splitlines()]
    assert (code, sorted(lines)) == (0, [["one", "*"], ["two", "api,deploy"]])
    assert first.strip() not in out
    _, out, _ = run("service-account", "list", "--config", config, "--json")
    documents = [json.loads(line) for line in out.splitlines()]
    assert {each["name"] for each in documents} == {"one", "two"}
    assert {"id", "routes", "created_at", "last_used_at", "expires_at"} <= documents[0].keys()


def test_revoking(run: Run, config: str, redis_server: RedisServer) -> None:
    tokens = [
        run("service-account", "new", name, "--config", config)[1].strip()
        for name in ("one", "one", "two")
    ]
    assert run("service-account", "revoke", "one", "--config", config) == (0, "2 ended\n", "")
    assert [found(redis_server.url, token) is not None for token in tokens] == [False, False, True]
    _, out, _ = run("service-account", "list", "--config", config)
    handle = out.split("\t")[0]
    assert run("service-account", "revoke", handle, "--config", config) == (0, "1 ended\n", "")
    assert run("service-account", "revoke", "one", "--config", config) == (1, "0 ended\n", "")


def test_revoking_is_heard_in_the_memory_of_others(
    run: Run, config: str, redis_server: RedisServer
) -> None:
    _, out, _ = run("service-account", "new", "one", "--config", config)
    parts = parse_api_token(out.strip())
    assert parts is not None

    async def revoked() -> None:
        store = open_store(redis_server.url)
        # The same secret as in the file: another process serves from its memory.
        cache = NearCache(store, secret_keys=SecretKeys([SECRET]), idle_timeout=3600)
        cache.start()
        await wait_until(lambda: cache.coherent)
        which = {"scope": SCOPE, "provider": "service-account"}
        while not cache.entries:
            assert await cache.find(parts[1], **which) is not None
        await asyncio.to_thread(run, "service-account", "revoke", "one", "--config", config)
        await wait_until(lambda: cache.entries == 0)
        assert await cache.find(parts[1], **which) is None
        await cache.aclose()
        await store.aclose()

    asyncio.run(revoked())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(("new",), "NAME", id="no name"),
        pytest.param(("new", "a/b"), "not a name", id="a name with a slash"),
        pytest.param(("new", "a", "--expires", "soon"), "duration", id="no duration"),
        pytest.param(("new", "a", "--expires", "0s"), "at least `1s`", id="no time"),
        pytest.param(("new", "a", "--route", "c"), "`api`, `deploy`", id="an unknown route"),
        pytest.param(("new", "a", "--claim", "sub=b"), "`sub`", id="another subject"),
        pytest.param(("revoke",), "NAME|ID", id="nothing to revoke"),
    ],
)
def test_wrong_usage(run: Run, config: str, arguments: tuple[str, ...], why: str) -> None:
    code, out, err = run("service-account", *arguments, "--config", config)
    assert (code, out) == (2, "")
    assert why in err


@pytest.mark.parametrize("action", [("new", "a"), ("list",), ("revoke", "a")], ids=lambda a: a[0])
def test_a_store_in_memory_cannot_be_reached(
    run: Run, tmp_path: Path, action: tuple[str, ...]
) -> None:
    path = tmp_path / "in-memory.yaml"
    path.write_text(SOUND)
    code, out, err = run("service-account", *action, "--config", str(path))
    assert (code, out) == (2, "")
    assert "`memory://`" in err
