"""Whatever happens in between: a revocation is never survived, and nothing lives unlisted.

Each case is run once for every step that the store is asked for, with the disturbance just there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.errors import LoginRefused, StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.records import ProviderTokens
from authz_sidecar.sessions.store import StoreEntry
from tests.sessions.conftest import (
    ALICE,
    APP,
    AUTH,
    HOUR,
    OLD,
    StoreFixture,
    create_child,
    is_active,
    sign_in,
)
from tests.sessions.test_service import PROVIDER_SESSION, USER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.service import SessionService
    from authz_sidecar.sessions.store import SessionStore

STEPS = range(10)


class InterruptedStore:
    """A store before whose nth call something happens; the call is made all the same, unless that
    raises. `calls` counts them."""

    def __init__(
        self,
        store: SessionStore,
        *,
        interrupt_at: int = -1,
        action: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self._store = store
        self._interrupt_at = interrupt_at
        self._action = action
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) - 1 == self._interrupt_at and self._action is not None:
                await self._action()
            return await getattr(self._store, name)(*arguments, **options)

        return call


def interrupted_sessions(
    store_fixture: StoreFixture, step: int, action: Callable[[], Awaitable[Any]]
) -> tuple[SessionService, InterruptedStore]:
    store: Any = InterruptedStore(store_fixture.store, interrupt_at=step, action=action)
    return store_fixture.sessions(store=store), store


async def try_create(creation: Awaitable[tuple[str, Session]]) -> str | None:
    try:
        return (await creation)[0]
    except LoginRefused:
        return None


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", ["user", "provider session"])
async def test_a_revocation_during_a_sign_in(
    store_fixture: StoreFixture, by: str, step: int
) -> None:
    calm = store_fixture.sessions()

    async def revoke() -> None:
        if by == "user":
            await calm.end_user(**USER)
        else:
            await calm.end_provider_session(**PROVIDER_SESSION)

    sessions, store = interrupted_sessions(store_fixture, step, revoke)
    token = await try_create(sign_in(sessions, tokens=ProviderTokens(id_token="i")))
    happened = len(store.calls) > step
    # Step 0 reads the watermarks: what was revoked before that is no concern of this sign-in.
    survives = step == 0 or not happened
    assert (token is not None and await is_active(calm, token)) == survives
    assert len(await calm.list_for_user(**USER)) == survives


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", ["user", "provider session", "parent"])
async def test_a_revocation_during_the_birth_of_a_child(
    store_fixture: StoreFixture, by: str, step: int
) -> None:
    calm = store_fixture.sessions()
    _, parent = await sign_in(calm)

    async def revoke() -> None:
        if by == "user":
            await calm.end_user(**USER)
        elif by == "provider session":
            await calm.end_provider_session(**PROVIDER_SESSION)
        else:
            await calm.end(parent)

    sessions, store = interrupted_sessions(store_fixture, step, revoke)
    token = await try_create(create_child(sessions, parent))
    happened = len(store.calls) > step
    assert (token is not None and await is_active(calm, token, APP)) == (not happened)
    assert len(await calm.list_for_user(**USER)) == (0 if happened else 2)


@pytest.mark.parametrize("step", STEPS)
async def test_a_revocation_while_a_session_is_used(store_fixture: StoreFixture, step: int) -> None:
    """The use may still succeed; it must not bring the session back."""
    calm = store_fixture.sessions()
    token, session = await sign_in(calm)
    store_fixture.clock.now += HOUR / 2
    sessions, store = interrupted_sessions(store_fixture, step, lambda: calm.end(session))
    await is_active(sessions, token)
    if len(store.calls) > step:
        assert not await is_active(calm, token)
        assert await store_fixture.store.read(keys.last_use_key(session.public_id)) == (None,)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["sign-in", "child"])
async def test_a_store_that_fails_half_way_leaves_nothing_unlisted(
    store_fixture: StoreFixture, kind: str, step: int
) -> None:
    calm = store_fixture.sessions()
    _, parent = await sign_in(calm)

    async def fail() -> None:
        raise StoreUnavailable("lost")

    written: list[str] = []

    class Watching(InterruptedStore):
        def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
            call = super().__getattr__(name)

            async def watch(*arguments: Any, **options: Any) -> Any:
                result = await call(*arguments, **options)
                if name == "write":
                    written.extend(entry.key for entry in arguments if entry.key[:5] == "az:s:")
                return result

            return watch

    store: Any = Watching(store_fixture.store, interrupt_at=step, action=fail)
    sessions = store_fixture.sessions(store=store)
    try:
        await (sign_in(sessions) if kind == "sign-in" else create_child(sessions, parent))
    except StoreUnavailable:
        assert len(store.calls) > step
    else:
        assert len(store.calls) <= step
    listed = {summary.handle for summary in await calm.list_for_user(**USER)}
    assert {key[6:-1] for key in written} <= listed
    assert await calm.end_user(**USER) == len(listed)
    for key in written:
        assert await store_fixture.store.read(key) == (None,)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", ["user", "provider session", "session"])
async def test_a_sign_out_that_fails_half_way_says_so_and_can_be_repeated(
    store_fixture: StoreFixture, by: str, step: int
) -> None:
    calm = store_fixture.sessions()
    token, parent = await sign_in(calm)
    app_token, _ = await create_child(calm, parent)

    async def fail() -> None:
        raise StoreUnavailable("lost")

    async def sign_out(sessions: SessionService) -> None:
        if by == "user":
            await sessions.end_user(**USER)
        elif by == "provider session":
            await sessions.end_provider_session(**PROVIDER_SESSION)
        else:
            await sessions.end(parent)

    sessions, store = interrupted_sessions(store_fixture, step, fail)
    try:
        await sign_out(sessions)
    except StoreUnavailable:
        # Once the watermark is written nobody is half signed out. Before that all is begun that is
        # to be confirmed, and before that of a user it is noted that there is one.
        expected = step < (2 if by == "session" else 3)
        assert await is_active(calm, token) == await is_active(calm, app_token, APP) == expected
        await sign_out(calm)
    else:
        assert len(store.calls) <= step
    assert not await is_active(calm, token)
    assert not await is_active(calm, app_token, APP)
    assert await calm.list_for_user(**USER) == ()


@pytest.mark.parametrize("by", ["user", "provider session", "session"])
async def test_a_failover_that_loses_the_deletion_brings_nobody_back(
    store_fixture: StoreFixture, by: str
) -> None:
    sessions = store_fixture.sessions()
    token, parent = await sign_in(sessions)
    app_token, app = await create_child(sessions, parent)
    kinds = (keys.session_key, keys.listing_key, keys.last_use_key)
    names = [kind(each.public_id) for each in (parent, app) for kind in kinds]
    held = await store_fixture.store.read(*names)
    if by == "user":
        await sessions.end_user(**USER)
    elif by == "provider session":
        await sessions.end_provider_session(**PROVIDER_SESSION)
    else:
        await sessions.end(parent)
    for name, value in zip(names, held, strict=True):
        if value is not None:
            await store_fixture.store.write(StoreEntry(name, value, HOUR))
    for index in sessions._key_names.user("corp", ALICE.issuer, "alice").index_keys:
        for each in (parent, app):
            member = (
                each.public_id if each.parent_id is None else f"{each.public_id}:{each.parent_id}"
            )
            await store_fixture.store.add_to_index(
                index, member, expires_at=parent.expires_at, now=store_fixture.clock.now
            )
    assert await store_fixture.store.read(names[0]) != (None,)
    assert not await is_active(sessions, token)
    assert not await is_active(sessions, app_token, APP)
    assert await sessions.list_for_user(**USER) == ()
    with pytest.raises(LoginRefused):
        await create_child(sessions, parent)
    again, _ = await sign_in(sessions)
    assert await is_active(sessions, again)


@pytest.mark.parametrize("secrets", [(OLD,), (b"n" * 32, OLD)], ids=["one secret", "two secrets"])
async def test_round_trips(store_fixture: StoreFixture, secrets: tuple[bytes, ...]) -> None:
    store: Any = InterruptedStore(store_fixture.store)
    sessions, calm = store_fixture.sessions(*secrets, store=store), store_fixture.sessions(*secrets)
    token, parent = await sign_in(calm)
    app_token, _ = await create_child(calm, parent)
    for given, scope, expected in (
        ("nonsense", AUTH, []),
        ("A" * 43, AUTH, ["read"]),
        (token, APP, ["read"]),
        (token, AUTH, ["read", "read"]),
        (app_token, APP, ["read", "read"]),
    ):
        store.calls.clear()
        await is_active(sessions, given, scope)
        assert store.calls == expected
