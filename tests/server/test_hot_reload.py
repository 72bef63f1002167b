"""A reload between two requests, and in the middle of one."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from authz_sidecar.app import build_application
from authz_sidecar.config.schema import Config
from authz_sidecar.core.gc_tuning import freeze_heap
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.routes.model import Route
from authz_sidecar.server import hot_reload as generations_module
from authz_sidecar.server.hot_reload import ApplicationSwitch

if TYPE_CHECKING:
    import pytest

    from authz_sidecar.app import Application

CORP = {"issuer": "http://localhost:1", "client_id": "x"}
STAFF = {"redis": {"key": "staff", "url": "redis://127.0.0.1:1"}}


def application(previous: Application | None = None, **changes: Any) -> Application:
    config = {
        "secret_keys": ["k" * 32],
        "sessions": {"store": "memory://"},
        "identity_providers": {"corp": CORP},
        "routes": [{"from": "https://app.example.com", "allow_any_authenticated_user": True}],
    }
    return build_application(
        Config.model_validate({**config, **changes}),
        metrics=Metrics(version="", with_process_metrics=False),
        previous=previous,
    )


def watches() -> int:
    """Each living application has one such task."""
    return sum(task.get_name() == "store watch" for task in asyncio.all_tasks())


async def test_a_request_ends_with_the_configuration_it_began_with() -> None:
    go_on = asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await go_on.wait()
        await send({"answered by": "the old one"})

    async def quick(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"answered by": "the new one"})

    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message["answered by"])

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    old = replace(application(), check_app=slow)
    await old.start()
    generations = ApplicationSwitch(old)
    begun = asyncio.create_task(generations.check({}, receive, send))
    await asyncio.sleep(0)
    new = replace(application(old), check_app=quick)
    await new.start()
    await generations.switch_to(new)
    await generations.check({}, receive, send)
    await asyncio.sleep(0.01)
    assert watches() == 2  # the old one still lives

    go_on.set()
    await begun
    assert answers == ["the new one", "the old one"]
    await asyncio.sleep(0.01)
    assert watches() == 1
    await generations.aclose()
    assert watches() == 0


async def test_a_configuration_is_not_closed_while_somebody_holds_it() -> None:
    old = application()
    await old.start()
    generations = ApplicationSwitch(old)
    let_go = generations.acquire_generation()
    new = application(old)
    await new.start()
    await generations.switch_to(new)
    await asyncio.sleep(0.01)
    assert watches() == 2
    let_go()
    await asyncio.sleep(0.01)
    assert watches() == 1
    await generations.aclose()


def test_token_issuers_that_did_not_change_are_taken_over() -> None:
    ci = {"issuer": "http://localhost:1", "audiences": ["a"]}
    asked = {"endpoint": "http://localhost:1/x", "client_id": "x", "client_secret": "y"}
    configured = {"ci": ci, "as": {**ci, "introspection": asked}, "gone": ci}
    old = application(token_issuers=configured)
    changed = {"ci": ci, "as": {**ci, "introspection": asked}, "new": {**ci, "audiences": ["b"]}}
    new = application(old, token_issuers=changed)
    assert new.token_verifiers["ci"] is old.token_verifiers["ci"]
    assert new.token_verifiers["as"] is not old.token_verifiers["as"], "it has the new throttle"
    assert set(new.token_verifiers) == set(changed)
    assert id(old.token_verifiers["ci"]) in new.shared_parts()
    assert id(old.token_verifiers["gone"]) not in new.shared_parts()


def living_routes() -> int:
    return sum(isinstance(each, Route) for each in gc.get_objects())


async def test_what_was_replaced_is_freed_without_the_collector() -> None:
    gc.unfreeze()
    gc.collect()
    before = living_routes()
    old = application()
    await old.start()
    generations = ApplicationSwitch(old)
    gc.disable()
    try:
        del old
        for _ in range(4):
            new = application(generations.current.application)
            await new.start()
            await generations.switch_to(new)
            del new
        async with asyncio.timeout(20):
            # The one that answers, and its predecessor, which explains what it has denied.
            while living_routes() != before + 2:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
        await generations.aclose()


async def test_what_little_is_left_is_collected_after_some_reloads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generations_module, "RELOADS_PER_HEAP_FREEZE", 2)

    async def check(_scope: Any, _receive: Any, _send: Any) -> None: ...

    old = replace(application(), check_app=check)
    vars(check)["in"] = old  # only the collector finds out that nobody else knows the two
    gone = weakref.ref(check)
    await old.start()
    generations = ApplicationSwitch(old)
    freeze_heap()
    new = application(old)
    await new.start()
    del old, check
    try:
        await generations.switch_to(new)
        await asyncio.sleep(0.05)
        assert gone() is not None, "it was looked at for each reload"
        newer = application(new)
        await newer.start()
        del new
        await generations.switch_to(newer)
        async with asyncio.timeout(20):
            while gone() is not None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
    finally:
        gc.unfreeze()
        await generations.aclose()


async def test_nothing_of_what_was_replaced_is_remembered_elsewhere() -> None:
    """FastAPI remembers endpoints in tables of its own."""
    old = application()
    held = [weakref.ref(part) for part in (old.sessions, old.web_app)]
    new = application(old)
    await old.aclose(successor=new)
    del old
    gc.collect()
    assert new.store.store is not None
    assert [part() for part in held] == [None] * len(held)


def test_what_did_not_change_is_taken_over() -> None:
    old = application(records={"staff": STAFF})
    same = application(old, records={"staff": STAFF}, routes=[])
    assert same.store is old.store
    assert same.providers["corp"] is old.providers["corp"]
    assert same.record_tables["staff"] is old.record_tables["staff"]


def test_what_changed_is_built_anew() -> None:
    old = application(records={"staff": STAFF})
    other = application(
        old,
        records={"staff": {**STAFF, "by": "address"}},
        identity_providers={"corp": {**CORP, "client_id": "y"}},
        sessions={"store": "redis://127.0.0.1:1/0"},
    )
    assert other.providers["corp"] is not old.providers["corp"]
    assert other.record_tables["staff"] is not old.record_tables["staff"]
    assert other.store is not old.store
    assert other.store.instance == ""
    assert old.store.instance != ""
