"""`sessions list` and `sessions revoke` against a real Redis."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from authz_sidecar.core.types import Identity
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.factory import open_store
from tests.cli.test_commands import SOUND, Run, run
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server", "run"]

SECRET = b"Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"
ISSUER = "https://idp.example.com"


TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def signed_in(url: str, subject: str, issuer: str = ISSUER) -> str:
    """The handle of a new session."""

    async def create() -> str:
        store = open_store(url)
        sessions = SessionService(
            store=store, secret_keys=SecretKeys([SECRET]), lifetime=3600, idle_timeout=3600
        )
        identity = Identity(provider="corp", issuer=issuer, subject=subject)
        _, session = await sessions.create(
            identity=identity, scope="https://a.example.com", client="192.0.2.1", user_agent="Fox"
        )
        await store.aclose()
        return session.public_id

    return asyncio.run(create())


@pytest.fixture
def config(redis_server: RedisServer, tmp_path: Path) -> str:
    redis_server.flush()
    path = tmp_path / "with-redis.yaml"
    path.write_text(SOUND.replace("memory://", redis_server.url))
    return str(path)


def test_listing(run: Run, config: str, redis_server: RedisServer) -> None:
    handles = {signed_in(redis_server.url, "alice") for _ in range(2)}
    signed_in(redis_server.url, "bob")
    code, out, _ = run("sessions", "list", "--config", config, "--user", "alice")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, {line[0] for line in lines}) == (0, handles)
    assert lines[0][1:3] == ["sign-in", "https://a.example.com"]
    assert lines[0][4:] == ["192.0.2.1", "Fox"]
    code, out, _ = run("sessions", "list", "--config", config, "--user", "corp/alice", "--json")
    assert {json.loads(line)["handle"] for line in out.splitlines()} == handles
    assert run("sessions", "list", "--config", config, "--user", "nobody") == (1, "", "")


def test_revoking_a_user(run: Run, config: str, redis_server: RedisServer) -> None:
    for subject in ("alice", "alice", "bob"):
        signed_in(redis_server.url, subject)
    assert run("sessions", "revoke", "--config", config, "--user", "alice") == (0, "2 ended\n", "")
    assert run("sessions", "list", "--config", config, "--user", "alice")[0] == 1
    assert run("sessions", "list", "--config", config, "--user", "bob")[0] == 0
    assert run("sessions", "revoke", "--config", config, "--user", "alice") == (1, "0 ended\n", "")


def test_a_user_of_one_tenant_of_many(run: Run, config: str, redis_server: RedisServer) -> None:
    path = Path(config)
    text = path.read_text()
    assert f"issuer: {ISSUER}" in text
    common = "type: azure, issuer: https://login.microsoftonline.com/common/v2.0"
    path.write_text(text.replace(f"issuer: {ISSUER}", common))
    signed_in(redis_server.url, "alice", f"https://login.microsoftonline.com/{TENANT}/v2.0")
    revoke = ("sessions", "revoke", "--config", config, "--user")
    code, _, said = run(*revoke, "corp/alice")
    assert (code, "`corp/TENANT/…`" in said) == (2, True)
    assert run(*revoke, f"corp/{TENANT}/alice") == (0, "1 ended\n", "")


def test_revoking_one(run: Run, config: str, redis_server: RedisServer) -> None:
    one, other = (signed_in(redis_server.url, "alice") for _ in range(2))
    assert run("sessions", "revoke", "--config", config, f"--handle={one}") == (0, "1 ended\n", "")
    assert run("sessions", "revoke", "--config", config, f"--handle={one}") == (1, "0 ended\n", "")
    _, out, _ = run("sessions", "list", "--config", config, "--user", "alice")
    assert [line.split("\t")[0] for line in out.splitlines()] == [other]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(("list",), "--user", id="no user"),
        pytest.param(("revoke",), "one of the arguments", id="nobody to revoke"),
        pytest.param(("revoke", "--user", "a", "--handle", "b"), "not allowed with", id="both"),
    ],
)
def test_wrong_usage(run: Run, config: str, arguments: tuple[str, ...], why: str) -> None:
    code, _, err = run("sessions", *arguments, "--config", config)
    assert code == 2
    assert why in err


def test_sessions_in_the_memory_of_a_server(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in-memory.yaml"
    path.write_text(SOUND)
    code, _, err = run("sessions", "list", "--config", str(path), "--user", "alice")
    assert (code, "only the server process can read" in err) == (2, True)


def test_a_user_of_several_providers_needs_one(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    other = "other: {issuer: https://other.example.com, client_id: authz, callback: own}"
    two = SOUND.replace("callback: own}}", f"callback: own}}, {other}}}")
    path.write_text(two.replace("routes:", "default_identity_provider: corp\nroutes:"))
    code, _, err = run("sessions", "list", "--config", str(path), "--user", "alice")
    assert (code, "must begin with the identity provider" in err) == (2, True)


def test_a_store_that_is_away(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "away.yaml"
    path.write_text(SOUND.replace("memory://", "redis://127.0.0.1:1"))
    code, _, err = run("sessions", "list", "--config", str(path), "--user", "alice")
    assert (code, "cannot answer" in err) == (2, True)
