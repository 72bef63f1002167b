"""Strings that outlive a process: in stores, cookies, addresses and keys that were derived.

What one version wrote, the next one has to read, and while replicas are upgraded also the other way
round: whatever is renamed in the code, these stay. A row is changed by a decision, with a reader of
the old form for one release.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.app.credentials import token_fingerprint
from authz_sidecar.core.types import Identity
from authz_sidecar.identity.assertion import derive_signing_keys
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.codec import CLAIMS_DICTIONARY, USER_AGENTS_DICTIONARY
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.records import ProviderTokens
from authz_sidecar.tokens.dpop import DPoPNonces
from tests.contract import stored
from tests.contract.source import calls, keyword_texts, returned_texts, text_of
from tests.contract.stored import ALICE, APP, AUTH, ISSUER, NOW, TOKENS, load_golden

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from authz_sidecar.sessions import SessionService
    from tests.servers.redis import RedisServer

KEYS = SecretKeys([stored.SECRET])

DEPLOY_BOT = Identity(
    provider="service-account",
    issuer="",
    subject="service-account/deploy-bot",
    groups=("ci",),
    is_service=True,
)

SEALED = {
    *("session", "session listing", "provider tokens", "ticket", "vault"),
    *(
        "login attempt",
        "login attempt with its redirect URI",
        "sign-in rounds",
        "hand-over request",
        "provider choice",
        "walk",
    ),
    *("sign-out form", "sessions form", "tool form", "signed-out home"),
}
DERIVED = {
    *("names in the store", "guesses", "names of tokens", "nonces of DPoP proofs"),
    "assertion signing key",
}
NOTES = {
    # Once in a while: `f"state:{digest}"` and so on.
    *("state:{}", "logout token {} {} {}", "DPoP proof {} {}"),
    # Counted.
    *("throttle {} {}", "guesses {} of {}", "guesses of {}", "{} of {}", "unknown address"),
}
PREFIXES = {f"az:{kind}:" for kind in "coswxmtvklrup"}


def purposes(*methods: str) -> set[str]:
    """What is given to these methods of the secrets, outside of their module. One that is given a parameter on is called
    with `purpose=` somewhere, which counts as well."""
    found: set[str] = set()
    for call in calls():
        of_secrets = re.search(r"(keys|secrets)$", call.receiver)
        if call.name not in methods or call.module == SecretKeys.__module__:
            continue
        if call.name == "open" and not of_secrets:
            continue
        first = call.first_text()
        if first is None:
            assert call.node.args, call
            given = text_of(call.node.args[0], call.module) or _name(call.node.args[0])
            assert given == "purpose", f"{call.module}: nobody can see what `{given}` is"
        else:
            found.add(first)
    return found


def _name(node: Any) -> str:
    return str(getattr(node, "attr", None) or getattr(node, "id", None))


def test_purposes_of_sealing() -> None:
    found = purposes("seal", "open", "seal_text", "open_text") | keyword_texts("purpose")
    assert found == SEALED


def test_labels_of_derived_keys() -> None:
    assert purposes("derive") == DERIVED


def test_names_of_notes_and_counters() -> None:
    methods = {"mark_used", "was_used", "limit", "_count"}
    found = {text for call in calls() if call.name in methods and (text := call.first_text())}
    assert found | returned_texts("_counters") | returned_texts("rate_limit_key") == NOTES


@pytest.mark.parametrize(
    ("purpose", "more", "sealed"),
    [
        (
            "session",
            {"extra_secret": b"a cookie"},
            "AWBuBUSsD32PBXmRLduVp4gmcJVM532ME9MObBi4bs-PdnHaEr3brw-9",
        ),
        (
            "walk",
            {"associated_data": b"https://app.example.com"},
            "Abu42loAjv4hfdP22rDnkTsKvl2Zi_nR9KUeCweCn06719ATBGWxgguy",
        ),
    ],
)
def test_what_was_sealed_is_opened(purpose: str, more: Any, sealed: str) -> None:
    assert KEYS.open_text(purpose, sealed, **more) == b"something"
    assert KEYS.open_text("another", sealed, **more) is None


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("names in the store", "GLJ88ckkikA5ENJxxYsfwWxcDPzqTiqKF0eAyW3Pd2U="),
        ("assertion signing key", "EvrFv/jVNMXShZUji0K9ZJP7zWn0XHEuJTvSJ6Qjbfo="),
    ],
)
def test_what_was_derived_is_derived_again(label: str, key: str) -> None:
    assert base64.b64encode(KEYS.derive(label)[0]).decode() == key


def test_what_is_made_with_derived_keys() -> None:
    """Public keys that applications have fetched, nonces that clients hold, names in logs."""
    [key] = derive_signing_keys(KEYS)
    assert key.key_id == "1b67e275baaefc6011e3f3cb4abbc5ffbd22722fcb691d85d837c6e697a60634"
    assert DPoPNonces(KEYS).current(now=NOW) == "BO9DyCxTMpO-QeOP9_pCrA"
    assert token_fingerprint(KEYS)("a-token") == "i9xkWAcy3cGOOIZl"


def unseal_records(records: Mapping[str, Any], tokens: Mapping[str, str]) -> dict[str, Any]:
    """Every key with what is in it, as far as it is sealed: by purpose, secret and dictionary."""
    shown = dict(records)
    vaults: set[str] = set()
    for key, entry in sorted(records.items()):  # `az:s:` comes before `az:v:`
        prefix, handle = key[:5], key[5:].strip("{}")
        if prefix not in {"az:s:", "az:m:", "az:t:", "az:v:", "az:x:"}:
            continue
        sealed = base64.b64decode(entry["value"])
        secrets = [value.removeprefix("azsa_").encode() for value in {*tokens.values(), *vaults}]
        purpose = {"s": "session", "t": "provider tokens", "v": "vault", "x": "ticket"}
        opened = (
            [KEYS.open("session listing", sealed, associated_data=handle.encode())]
            if prefix == "az:m:"
            else [KEYS.open(purpose[prefix[3]], sealed, extra_secret=each) for each in secrets]
        )
        [data] = [each for each in opened if each is not None]
        if prefix != "az:x:":
            assert data[:1] == b"\x01"
            words = USER_AGENTS_DICTIONARY if prefix == "az:m:" else CLAIMS_DICTIONARY
            data = zlib.decompressobj(wbits=-15, zdict=words).decompress(data[1:])
        shown[key] = json.loads(data)
        if prefix == "az:s:" and shown[key][8]:
            vaults.add(shown[key][8])
    return shown


async def test_a_store_is_written_as_ever() -> None:
    """Key by key: its name, its form, and what is sealed in it."""
    now, then = await stored.write_all_records(), load_golden()
    assert now["tokens"] == then["tokens"]
    assert unseal_records(now["keys"], now["tokens"]) == unseal_records(
        then["keys"], then["tokens"]
    )
    assert {key[:5] for key in then["keys"]} == PREFIXES


@pytest.fixture
async def upgraded_sessions(redis_server: RedisServer) -> AsyncIterator[SessionService]:
    """Today's code at a Redis that was filled before, by Redis' own commands."""
    redis_server.flush()
    for key, held in load_golden()["keys"].items():
        if "value" in held:
            redis_server.command("SET", key, base64.b64decode(held["value"]))
        for member, expires_at in held.get("members", {}).items():
            redis_server.command("ZADD", key, expires_at, member)
        if "count" in held:
            redis_server.command("SET", key, held["count"], "EX", 60)
    store = open_store(redis_server.url)
    yield stored.build_sessions(store)
    await store.aclose()


@pytest.mark.parametrize(
    ("name", "scope", "found"),
    [
        ("alice", AUTH, ("sign-in", ALICE, ())),
        ("child", APP, ("child", ALICE, ())),
        ("tool", f"tool:{APP}", ("tool", ALICE, ())),
        ("service account", "service-account", ("service-account", DEPLOY_BOT, ("api",))),
        ("revoked", APP, None),
        ("ended", APP, None),
    ],
)
async def test_sessions_go_on_and_what_was_ended_stays_so(
    upgraded_sessions: SessionService, name: str, scope: str, found: object
) -> None:
    provider = "service-account" if name == "service account" else "corp"
    token = load_golden()["tokens"][name].removeprefix("azsa_")
    session = await upgraded_sessions.find(token, scope=scope, provider=provider)
    assert (session and (session.kind, session.identity, session.routes)) == found


async def test_what_else_a_store_holds(
    upgraded_sessions: SessionService, redis_server: RedisServer
) -> None:
    tokens = load_golden()["tokens"]
    listed = await upgraded_sessions.list_for_user(provider="corp", issuer=ISSUER, subject="alice")
    assert {each.kind.value for each in listed} == {"sign-in", "child", "tool"}
    assert {(each.client, each.user_agent) for each in listed} == {
        *(("192.0.2.7", stored.AGENT), ("", "")),
    }
    by_provider = await upgraded_sessions.list_for_provider_session(
        provider="corp", issuer=ISSUER, sid="sid-1"
    )
    assert len(by_provider) == 3
    assert await upgraded_sessions.provider_tokens(tokens["alice"]) == TOKENS
    assert await upgraded_sessions.provider_tokens(tokens["child"]) == ProviderTokens(
        id_token="id-token"
    )
    assert len(await upgraded_sessions.recent_revocations("corp")) == 1
    notes = upgraded_sessions.one_time
    assert not await notes.mark_used("state:0123", ttl=60)
    assert await notes.was_used("logout token https://idp.example.com client jti")
    assert await notes.count("throttle 30000000 192.0.2.0/24", window=60) == 2
    ticket = await notes.redeem_ticket(tokens["hand-over"])
    assert ticket is not None
    assert json.loads(ticket) == {**stored.TICKETS["hand-over"], "token": tokens["alice"]}
    # The account as the provider calls it.
    assert (
        await upgraded_sessions.end_user_by_sub(provider="corp", issuer=ISSUER, sub="sub-of-alice")
        == 3
    )


async def test_refreshes_go_on(
    upgraded_sessions: SessionService, redis_server: RedisServer
) -> None:
    token, later = load_golden()["tokens"]["child"], NOW + 14_400
    session = await upgraded_sessions.find(token, scope=APP, provider="corp")
    assert session is not None
    assert session.refresh_at == NOW + 840
    assert await upgraded_sessions.refresh.acquire(token, session, now=later) == session, (
        "it is locked"
    )
    redis_server.command("DEL", *(key for key in redis_server.all_keys() if key[:5] == "az:k:"))
    claim = await upgraded_sessions.refresh.acquire(token, session, now=later)
    assert getattr(getattr(claim, "vault", None), "tokens", None) == TOKENS
