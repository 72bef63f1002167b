"""Opaque tokens at the gate: their issuer is asked once, believed shortly, and never guessed."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64decode
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus

import pytest

from authz_sidecar.errors import RateLimited
from authz_sidecar.tokens.settings import TokenClaimNames
from tests.servers.hostile_provider import Answer, document
from tests.support.authorizer import NOW, header
from tests.tokens.issuers import (
    API,
    AUDIENCE,
    KEY,
    build_token_fixture,
    claims,
    introspection_settings,
    issuer_settings,
    serve_introspection,
)

if TYPE_CHECKING:
    from tests.servers.hostile_provider import HostileProvider

NOW_ = int(NOW)
GOOD: dict[str, object] = {"sub": "robot", "aud": AUDIENCE, "scope": "read write"}


@pytest.mark.parametrize("by", ["client_secret_basic", "client_secret_post"])
async def test_an_active_token_passes_and_its_issuer_is_asked_as_a_client(
    server: HostileProvider, by: str
) -> None:
    serve_introspection(server, {"good": GOOD})
    async with aclosing(
        build_token_fixture(server, introspection_settings(server, client_authentication=by))
    ) as home:
        reply = await home.check("good")
    assert reply.status == 200
    assert header(reply, "x-auth-user") == "as/robot"
    assert home.authorizer_fixture.record.credential == "introspected"
    method, _, headers, body = server.seen[-1]
    form = parse_qs(body.decode())
    assert (method, form["token"]) == ("POST", ["good"])
    if by == "client_secret_post":
        assert (form["client_id"], form["client_secret"]) == (["api"], ["secret/with: all"])
        assert "authorization" not in headers
    else:
        pair = b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        assert [unquote_plus(part) for part in pair.split(":")] == ["api", "secret/with: all"]
        assert "client_secret" not in form


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param({"active": False}, 401, id="inactive"),
        pytest.param({}, 401, id="nothing said"),
        pytest.param({**GOOD, "active": "true"}, 401, id="active as text"),
        pytest.param({**GOOD, "active": 1}, 401, id="active as a number"),
        pytest.param({**GOOD, "active": True}, 200, id="active"),
        pytest.param({**GOOD, "active": True, "aud": "other"}, 401, id="another audience"),
        pytest.param({**GOOD, "active": True, "aud": None}, 401, id="no audience"),
        pytest.param({**GOOD, "active": True, "iss": "https://x.example"}, 401, id="issuer"),
        pytest.param({**GOOD, "active": True, "exp": NOW_ - 60}, 401, id="expired all the same"),
        pytest.param({**GOOD, "active": True, "nbf": NOW_ + 60}, 401, id="not yet"),
        pytest.param({**GOOD, "active": True, "sub": None}, 401, id="of nobody"),
        pytest.param({**GOOD, "active": True, "cnf": {"jkt": "x"}}, 401, id="bound to a key"),
        pytest.param({**GOOD, "active": True, "scope": "write"}, 403, id="scope"),
    ],
)
async def test_what_its_issuer_says(
    server: HostileProvider, answer: dict[str, object], status: int
) -> None:
    said = {name: value for name, value in answer.items() if value is not None}
    server.answers["/introspect"] = document(said)
    async with aclosing(
        build_token_fixture(server, introspection_settings(server, scopes=("read",)))
    ) as home:
        cookie = await home.authorizer_fixture.sign_in()
        assert (await home.check("token", cookie)).status == status


async def test_an_issuer_that_names_no_audience_has_to_be_allowed_to(
    server: HostileProvider,
) -> None:
    server.answers["/introspect"] = document({"active": True, "client_id": "bot"})
    configured = introspection_settings(
        server, require_audience=False, claims=TokenClaimNames(user="client_id")
    )
    async with aclosing(build_token_fixture(server, configured)) as home:
        reply = await home.check("token")
        assert header(reply, "x-auth-user") == "as/bot"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(status=500), id="error"),
        pytest.param(Answer(status=401), id="does not know us"),
        pytest.param(Answer(status=302, headers={"location": "/other"}), id="redirect"),
        pytest.param(Answer(body=b"active"), id="no JSON"),
        pytest.param(document([True]), id="no object"),
        pytest.param(Answer(body=b" " * 2_000_000), id="flood"),
        pytest.param(Answer(delay=threading.Event()), id="silence"),
    ],
)
async def test_an_issuer_in_trouble_is_503_and_never_a_pass(
    server: HostileProvider, answer: Answer
) -> None:
    server.answers["/introspect"] = answer
    async with aclosing(build_token_fixture(server, introspection_settings(server))) as home:
        reply = await home.check("token", await home.authorizer_fixture.sign_in())
        if answer.delay is not None:
            answer.delay.set()
    assert reply.status == 503
    assert home.authorizer_fixture.record.outcome == "unavailable"


async def test_answers_are_believed_for_a_while_and_not_beyond_the_token(
    server: HostileProvider,
) -> None:
    serve_introspection(server, {"long": GOOD, "short": {**GOOD, "exp": NOW_ + 10}})
    async with aclosing(
        build_token_fixture(server, introspection_settings(server, cache_seconds=30.0))
    ) as home:
        for token, seconds in (("long", 30), ("short", 10)):
            home.authorizer_fixture.now[0] = NOW
            server.seen.clear()
            assert (await home.check(token)).status == 200
            home.authorizer_fixture.now[0] = NOW + seconds - 1
            assert (await home.check(token)).status == 200
            assert server.asked_for("/introspect") == 1
            home.authorizer_fixture.now[0] = NOW + seconds
            await home.check(token)
            assert server.asked_for("/introspect") == 2


async def test_a_revoked_token_stops_counting(server: HostileProvider) -> None:
    serve_introspection(server, {"good": GOOD})
    async with aclosing(
        build_token_fixture(server, introspection_settings(server, cache_seconds=30.0))
    ) as home:
        assert (await home.check("good")).status == 200
        serve_introspection(server, {})
        home.authorizer_fixture.now[0] += 30
        assert (await home.check("good")).status == 401


async def test_what_does_not_count_is_not_asked_about_at_once_again(
    server: HostileProvider,
) -> None:
    serve_introspection(server, {})
    async with aclosing(build_token_fixture(server, introspection_settings(server))) as home:
        for _ in range(10):
            assert (await home.check("bad")).status == 401
        assert server.asked_for("/introspect") == 1
        home.authorizer_fixture.now[0] += 5
        serve_introspection(server, {"bad": GOOD})
        assert (await home.check("bad")).status == 200


async def test_many_at_once_ask_once(server: HostileProvider) -> None:
    serve_introspection(server, {"good": GOOD})
    async with aclosing(build_token_fixture(server, introspection_settings(server))) as home:
        replies = await asyncio.gather(*(home.check("good") for _ in range(20)))
        assert {reply.status for reply in replies} == {200}
        assert server.asked_for("/introspect") == 1
        assert len(home.rate_limiter.admitted) == 1


async def test_whoever_guesses_is_throttled(server: HostileProvider) -> None:
    serve_introspection(server, {"good": GOOD})
    async with aclosing(build_token_fixture(server, introspection_settings(server))) as home:
        assert (await home.check("good")).status == 200
        assert [str(client) for client in home.rate_limiter.admitted] == ["203.0.113.7"]
        home.rate_limiter.error = RateLimited("too many", retry_after=9)
        reply = await home.check("guess")
        assert (reply.status, header(reply, "retry-after")) == (429, "9")
        assert (await home.check("good")).status == 200
        assert server.asked_for("/introspect") == 1


async def test_what_one_configuration_was_told_is_nothing_to_another(
    server: HostileProvider,
) -> None:
    """CVE-2021-32701, CVE-2026-33496: the same token, where another scope or audience is wanted."""
    serve_introspection(server, {"good": GOOD})
    other = replace(API, name="b", prefix="/b", token_issuers=("admin",))
    configured = (
        introspection_settings(server, scopes=("read",)),
        introspection_settings(server, name="admin", scopes=("admin",)),
    )
    async with aclosing(build_token_fixture(server, *configured, routes=(API, other))) as home:
        for _ in range(2):
            assert (await home.check("good")).status == 200
            assert (await home.check("good", path="/b")).status == 403


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("x" * 17_000, id="huge"),
        pytest.param("a b", id="two words"),
        pytest.param("caf\xe9", id="beyond ASCII"),
        pytest.param("a&token=good", id="form in a form"),
    ],
)
async def test_what_can_be_no_token_is_not_asked_about(server: HostileProvider, token: str) -> None:
    serve_introspection(server, {"good": GOOD})
    async with aclosing(build_token_fixture(server, introspection_settings(server))) as home:
        assert (await home.check(token)).status == 401
    assert not server.asked_for("/introspect")


async def test_a_signed_token_is_asked_about_at_its_own_issuer_alone(
    server: HostileProvider,
) -> None:
    own = KEY.sign(claims(server))
    other = KEY.sign(claims(server, iss="https://other.example"))
    serve_introspection(server, {own: GOOD, other: GOOD})
    async with aclosing(build_token_fixture(server, introspection_settings(server))) as home:
        assert (await home.check(own)).status == 200
        assert (await home.check(other)).status == 401
    assert server.asked_for("/introspect") == 1


async def test_signed_and_opaque_tokens_are_told_apart(server: HostileProvider) -> None:
    serve_introspection(server, {"opaque": GOOD})
    configured: tuple[Any, ...] = (
        issuer_settings(server),
        introspection_settings(server, issuer="https://as.example"),
    )
    async with aclosing(build_token_fixture(server, *configured)) as home:
        assert header(await home.check("opaque"), "x-auth-user") == "as/robot"
        signed = await home.check(KEY.sign(claims(server)))
        assert header(signed, "x-auth-user") == "ci/repo:octo/app"
    assert server.asked_for("/introspect") == 1
