"""A store as one version left it: every kind of record, under fixed secrets, ids and times.

`load_golden/store.json` is what it was when it was first written, and stays: it stands for the
sessions of people who are signed in during an upgrade. `python -m tests.contract.stored` adds what
it lacks.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.accounts.service_accounts import ServiceAccounts
from authz_sidecar.core.types import Identity, SessionKind
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore, SessionService
from authz_sidecar.sessions.records import ProviderTokens
from authz_sidecar.sessions.store import StoreEntry
from tests.contract.source import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.sessions import SessionStore

FILE = GOLDEN / "store.json"
NOW = 1_800_000_000.0
SECRET = b"k" * 32
AUTH, APP = "https://auth.example.com", "https://app.example.com"
ISSUER = "https://idp.example.com"
ALICE = Identity(
    provider="corp",
    issuer=ISSUER,
    subject="alice",
    email="alice@example.com",
    name="Alice Adams",
    groups=("eng", "ops"),
    claims={"sub": "sub-of-alice", "email": "alice@example.com", "level": 3},
    authenticated_at=NOW - 5,
    acr="urn:example:loa:2",
    amr=("pwd", "otp"),
)
TOKENS = ProviderTokens(
    id_token="id-token", access_token="access-token", refresh_token="refresh", expires_at=NOW + 900
)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
VERIFIER = "v" * 43
FLOW_HASH = "EKaGlALoJ27GGtpCZvJlBr4uLY9CI8oQAQBabTKXRik"
TICKETS = {
    "hand-over": {"origin": APP, "flow": FLOW_HASH, "provider": "corp", "token": "alice"},
    "code": {
        "for": "tool code",
        "origin": APP,
        "flow": "",
        "provider": "corp",
        "token": "child",
        "challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
        .decode()
        .rstrip("="),
        "redirect_uri": "http://127.0.0.1:7777/callback",
    },
}


class DeterministicRandom:
    """Random bytes that are the same in every run."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, size: int) -> bytes:
        self._number += 1
        return hashlib.sha256(str(self._number).encode()).digest()[:size]


@dataclass
class RecordingMemoryStore(MemoryStore):
    """Keeps all that is written, also what is deleted again."""

    writes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(clock=lambda: NOW)

    def _put(self, entry: StoreEntry) -> None:
        super()._put(entry)
        self.writes[entry.key] = {"value": base64.b64encode(entry.value).decode()}

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        await super().add_to_index(key, member, expires_at=expires_at, now=now)
        self.writes.setdefault(key, {"members": {}})["members"][member] = expires_at

    async def count(self, key: str, *, window: float) -> int:
        counted = await super().count(key, window=window)
        self.writes[key] = {"count": counted}
        return counted


def build_sessions(store: SessionStore) -> SessionService:
    return SessionService(
        store=store,
        secret_keys=SecretKeys([SECRET]),
        lifetime=36_000,
        idle_timeout=3600,
        clock=lambda: NOW,
        random=DeterministicRandom(),
    )


async def write_all_records() -> dict[str, Any]:
    """What is written for people, hosts, tools, machines, tickets, revocations, refreshes, counts."""
    store = RecordingMemoryStore()
    sessions = build_sessions(store)
    names: dict[str, str] = {}
    names["alice"], alice = await sessions.create(
        identity=ALICE,
        scope=AUTH,
        provider_session="sid-1",
        tokens=TOKENS,
        client="192.0.2.7",
        user_agent=AGENT,
    )
    names["child"], _ = await sessions.create(
        identity=ALICE,
        scope=APP,
        tokens=ProviderTokens(id_token="id-token"),
        parent=alice,
        parent_token=names["alice"],
    )
    names["tool"], _ = await sessions.create(
        identity=ALICE, scope=f"tool:{APP}", parent=alice, kind=SessionKind.TOOL
    )
    names["service account"], _ = await ServiceAccounts(sessions).create_token(
        "deploy-bot", lifetime=86_400, routes=("api",), groups=("ci",)
    )
    for ended in ("revoked", "ended"):
        identity = Identity(provider="corp", issuer=ISSUER, subject=ended)
        names[ended], session = await sessions.create(identity=identity, scope=APP)
        if ended == "ended":
            await sessions.end(session)
        else:
            await sessions.end_user(provider="corp", issuer=ISSUER, subject=ended)
    for name, fields in TICKETS.items():
        payload = {**fields, "token": names[str(fields["token"])]}
        names[name] = await sessions.one_time.issue_ticket(json.dumps(payload).encode())
    for used in ("state:0123", "logout token https://idp.example.com client jti"):
        await sessions.one_time.mark_used(used, ttl=600)
    for counted in ("throttle 30000000 192.0.2.0/24", "throttle 30000000 api/token of account"):
        await sessions.one_time.count(counted, window=60)
    await sessions.refresh.acquire(names["alice"], alice, now=NOW + 10 * 60 * 24)
    return {"tokens": names, "keys": store.writes}


def load_golden() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(FILE.read_text())
    return stored


async def load(store: SessionStore, keys: Mapping[str, Any]) -> None:
    """Through the port, as if it had been there all along."""
    for key, record in keys.items():
        if "value" in record:
            await store.write(StoreEntry(key, base64.b64decode(record["value"]), 3600.0))
        for member, expires_at in record.get("members", {}).items():
            await store.add_to_index(key, member, expires_at=expires_at, now=NOW)
        for _ in range(record.get("count", 0)):
            await store.count(key, window=3600.0)


def _add_missing() -> None:
    stored = load_golden() if FILE.exists() else {"tokens": {}, "keys": {}}
    new = asyncio.run(write_all_records())
    for part in ("tokens", "keys"):
        stored[part] = {**new[part], **stored[part]}
    FILE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{len(stored['keys'])} keys\n")


if __name__ == "__main__":
    _add_missing()
