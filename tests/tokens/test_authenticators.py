"""Credentials of a request's own, at the gate: who passes by them, and that nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    APP,
    HTML,
    JSON,
    NAMES,
    NAVIGATION,
    AuthorizerFixture,
    build_authorizer,
    header,
)
from tests.tokens.keyring import BAD, BOT, GOOD, FakeAuthenticator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.adapters.base import HttpResponse
    from authz_sidecar.core.types import Headers

SIGNED_IN = RouteSpec(name="app", allow_any_authenticated_user=True)
MACHINES = RouteSpec(
    name="api", prefix="/api", allow_any_authenticated_user=True, token_issuers=("ci",)
)
ALICE_ONLY = RouteSpec(
    name="alice",
    prefix="/alice",
    token_issuers=("ci",),
    policy={"allow": {"or": [{"user": {"is": "alice"}}, {"user": {"is": "ci/other"}}]}},
)
BOTS_ONLY = RouteSpec(
    name="bots",
    prefix="/bots",
    token_issuers=("ci",),
    policy={"allow": {"and": [{"user": {"is": "ci/bot"}}, {"claim/project": "app"}]}},
)
NGINX = ("nginx", "ingress-nginx")


def build_machine_fixture(
    *more: RouteSpec, providers: Sequence[str] = ("corp",)
) -> AuthorizerFixture:
    return build_authorizer(
        SIGNED_IN,
        MACHINES,
        ALICE_ONLY,
        BOTS_ONLY,
        *more,
        providers=providers,
        token_issuers=("ci",),
        authenticators=(FakeAuthenticator(),),
    )


def lines(reply: HttpResponse, name: str) -> list[str]:
    return [value for key, value in reply.headers if key == name]


@pytest.mark.parametrize("by", NAMES)
async def test_a_credential_passes_where_the_route_names_its_kind(by: str) -> None:
    fixture = build_machine_fixture()
    reply = await fixture.check(f"{APP}/api/x", GOOD, adapter=by)
    if by == "nginx-challenge":
        return
    assert reply.status == 200
    assert header(reply, "x-auth-user") == "ci/bot"
    assert header(reply, "x-auth-assertion")
    record = fixture.record
    assert (record.outcome, record.credential, record.session) == ("allow", "token", record.session)
    assert record.session is not None
    assert record.session.identity == BOT


async def test_policies_tell_machines_from_people() -> None:
    fixture = build_machine_fixture()
    alice = await fixture.sign_in()
    assert (await fixture.check(f"{APP}/bots", GOOD)).status == 200
    assert (await fixture.check(f"{APP}/bots", alice)).status == 403
    assert (await fixture.check(f"{APP}/alice", GOOD)).status == 403
    assert (await fixture.check(f"{APP}/alice", alice)).status == 200


async def test_names_of_machines_are_the_same_on_routes_of_several_providers() -> None:
    route = replace(BOTS_ONLY, name="both", prefix="/both", identity_provider=("corp", "partners"))
    fixture = build_machine_fixture(route, providers=("corp", "partners"))
    assert (await fixture.check(f"{APP}/both", GOOD)).status == 200


@pytest.mark.parametrize("by", NAMES)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(BAD, id="revoked"),
        pytest.param(("authorization", "Bearer other"), id="of no kind"),
        pytest.param(("authorization", "bearer"), id="scheme alone"),
        pytest.param(("authorization", "BEARER x y"), id="two tokens"),
        pytest.param(("authorization", ""), id="empty"),
        pytest.param(("authorization", "Bearer\tgood"), id="tab"),
        pytest.param(("authorization", "Bearer, good"), id="comma"),
        pytest.param(("authorization", "Bearer good,"), id="list"),
    ],
)
@pytest.mark.parametrize("asking", [NAVIGATION, (JSON,)], ids=["browser", "program"])
async def test_what_does_not_count_is_refused_and_no_session_speaks_for_it(
    by: str, line: tuple[str, str], asking: Headers
) -> None:
    fixture = build_machine_fixture()
    cookie = await fixture.sign_in()
    reply = await fixture.check(f"{APP}/api/x", line, cookie, *asking, adapter=by)
    assert reply.status == 401
    assert header(reply, "location") is None
    assert (fixture.record.outcome, fixture.record.status) == ("refused", 401)
    assert fixture.record.session is None
    assert fixture.record.credential in {"bearer", "unreadable"}
    if by in NGINX:
        assert header(reply, "x-authz-reason") == "credentials"
        assert not lines(reply, "www-authenticate")
    else:
        assert (header(reply, "www-authenticate") or "").startswith('Bearer realm="api"')
        assert json.loads(reply.body)["error"] == "invalid_token"


async def test_the_challenge_of_nginx_says_why() -> None:
    fixture = build_machine_fixture()
    reason = ("x-authz-reason", "credentials")
    reply = await fixture.check(f"{APP}/api/x", BAD, reason, adapter="nginx-challenge")
    assert reply.status == 401
    assert header(reply, "www-authenticate") == 'Bearer realm="api", error="invalid_token"'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(GOOD, id="good"),
        pytest.param(BAD, id="bad"),
        pytest.param(("authorization", "Basic eDp5"), id="of the app"),
        pytest.param(("authorization", "\x80"), id="unreadable"),
    ],
)
async def test_where_a_route_names_no_kind_the_line_is_the_apps(line: tuple[str, str]) -> None:
    fixture = build_machine_fixture()
    assert (await fixture.check(f"{APP}/", line, HTML)).status == 302
    reply = await fixture.check(f"{APP}/", line, await fixture.sign_in())
    assert reply.status == 200
    assert header(reply, "x-auth-user") == "alice"


async def test_a_scheme_that_the_route_does_not_accept_is_the_apps() -> None:
    fixture = build_machine_fixture()
    line = ("authorization", "Basic eDp5")
    assert (await fixture.check(f"{APP}/api", line)).status == 401
    assert fixture.record.outcome == "sign-in"
    assert (await fixture.check(f"{APP}/api", line, await fixture.sign_in())).status == 200


LINES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.from_regex(r"\A[Bb]earer[ ,\t=]{0,3}(good|bad|x)[ ,=\x00]{0,2}(good)?\Z"),
)


@settings(max_examples=300)
@given(line=LINES)
async def test_no_line_passes_but_the_one_that_counts(line: str) -> None:
    fixture = build_machine_fixture()
    reply = await fixture.check(f"{APP}/api", ("authorization", line), JSON)
    scheme, _, rest = line.partition(" ")
    counts = scheme.lower() == "bearer" and rest.lstrip(" ") == "good"
    assert reply.status == (200 if counts else 401)


@pytest.mark.parametrize("by", NAMES)
async def test_several_lines_are_never_read(by: str) -> None:
    fixture = build_machine_fixture()
    reply = await fixture.check(f"{APP}/api", GOOD, GOOD, adapter=by)
    assert reply.status == (403 if by in NGINX else 400)
    assert fixture.record.outcome == "refused"


@pytest.mark.parametrize("by", NAMES)
async def test_what_cannot_be_known_now_is_our_trouble_and_never_a_pass(by: str) -> None:
    fixture = build_machine_fixture(
        RouteSpec(
            name="open",
            prefix="/open",
            allow_public_unauthenticated_access=True,
            token_issuers=("ci",),
        )
    )
    for path in ("/api", "/open"):
        reply = await fixture.check(
            f"{APP}{path}", ("authorization", "Bearer lost"), await fixture.sign_in(), adapter=by
        )
        assert reply.status == 503
        assert fixture.record.outcome == "unavailable"


async def test_who_brings_nothing_is_told_what_the_route_takes() -> None:
    fixture = build_machine_fixture()
    reply = await fixture.check(f"{APP}/api", JSON)
    assert lines(reply, "www-authenticate") == ['Bearer realm="api"']
    assert json.loads(reply.body)["error"] == "unauthenticated"
    assert (await fixture.check(f"{APP}/api", *NAVIGATION)).status == 302


@pytest.mark.parametrize("by", NAMES)
async def test_where_nobody_can_sign_in_a_token_is_asked_for(by: str) -> None:
    fixture = build_machine_fixture(providers=())
    reply = await fixture.check(f"{APP}/api", HTML, adapter=by)
    assert reply.status == 401
    assert header(reply, "location") is None
    assert by in NGINX or lines(reply, "www-authenticate") == ['Bearer realm="api"']


async def test_a_program_is_never_sent_to_sign_in_once_more() -> None:
    step_up = RouteSpec(
        name="fresh",
        prefix="/fresh",
        token_issuers=("ci",),
        policy={
            "allow": {"and": [{"authenticated_user": True}, {"authentication": {"max_age": "5m"}}]}
        },
    )
    fixture = build_machine_fixture(step_up)
    reply = await fixture.check(f"{APP}/fresh", GOOD, *NAVIGATION)
    assert reply.status == 403
