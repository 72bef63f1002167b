"""A request with a header that an application could take for a protected one passes nowhere: every
adapter, every character of a token, every name that the service may set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.core.header_template import parse_header_template
from authz_sidecar.core.untrusted_headers import UNTRUSTED_NAMES as UNTRUSTED
from authz_sidecar.core.untrusted_headers import UNTRUSTED_PREFIXES
from authz_sidecar.identity.headers import PRESETS
from tests.header_names import SEPARATORS, respelled
from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    APP,
    HTML,
    JSON,
    NAMES,
    AuthorizerFixture,
    build_authorizer,
    header,
)

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import HttpResponse

CLAIMS = {"X-Department": "department"}
ROUTES = (
    RouteSpec(name="app", allow_any_authenticated_user=True),
    RouteSpec(name="public", prefix="/public", allow_public_unauthenticated_access=True),
    RouteSpec(
        name="tenant",
        prefix="/tenant",
        allow_any_authenticated_user=True,
        set_request_headers={"X-Tenant": parse_header_template("blue")},
    ),
)


def furnished(preset: str = "default") -> AuthorizerFixture:
    return build_authorizer(*ROUTES, preset=preset, claims=CLAIMS)


def assert_refused(reply: HttpResponse, fixture: AuthorizerFixture, name: str, *, by: str) -> None:
    assert reply.status == 403, (name, by, reply)
    assert fixture.record.reasons == ("ambiguous-header",)
    assert (fixture.record.outcome, fixture.record.header) == ("deny", name)
    assert not any(each.startswith(("x-auth-", "remote-", "cookie")) for each, _ in reply.headers)
    # The first question that nginx asks knows no reasons of our own.
    reason = "forbidden" if by in {"nginx", "ingress-nginx"} else "ambiguous-header"
    assert header(reply, "x-authz-reason") == reason


@pytest.mark.parametrize("by", NAMES)
@pytest.mark.parametrize("preset", PRESETS)
async def test_no_managed_name_arrives_in_another_spelling(by: str, preset: str) -> None:
    fixture = furnished(preset)
    cookie = await fixture.sign_in()
    for name in (*PRESETS[preset], "X-Department", "X-Tenant"):
        for separator in SEPARATORS:
            for other in map(str.lower, respelled(name, separator)):
                reply = await fixture.check(
                    f"{APP}/page", cookie, (other, "mallory"), JSON, adapter=by
                )
                assert_refused(reply, fixture, other, by=by)


@pytest.mark.parametrize("by", NAMES)
async def test_no_name_that_clients_may_not_bring_arrives_in_another_spelling(by: str) -> None:
    fixture = furnished()
    members = (f"{prefix}Anything" for prefix in UNTRUSTED_PREFIXES)
    for number, name in enumerate((*UNTRUSTED, *members)):
        separator = SEPARATORS[number % len(SEPARATORS)]
        for other in map(str.lower, respelled(name, separator)[-1:]):
            reply = await fixture.check(f"{APP}/public/", (other, "mallory"), adapter=by)
            assert_refused(reply, fixture, other, by=by)


@pytest.mark.parametrize("by", NAMES)
@pytest.mark.parametrize(
    ("path", "signed_in"),
    [
        pytest.param("/public/", False, id="public"),
        pytest.param("/page", False, id="nobody is signed in"),
        pytest.param("/page", True, id="signed in"),
    ],
)
async def test_it_is_refused_before_anything_else_is_asked(
    by: str, path: str, *, signed_in: bool
) -> None:
    fixture = furnished()
    who = [await fixture.sign_in()] if signed_in else []
    for name in ("x_auth_user", "x.department", "x-forwarded!anything"):
        reply = await fixture.check(f"{APP}{path}", *who, (name, "x"), HTML, adapter=by)
        assert_refused(reply, fixture, name, by=by)
    reply = await fixture.check(
        f"https://no.example.com{path}", ("x_auth_user", "x"), HTML, adapter=by
    )
    assert_refused(reply, fixture, "x_auth_user", by=by)


@pytest.mark.parametrize("by", [name for name in NAMES if name != "nginx-challenge"])
async def test_names_that_are_spelled_as_they_are_pass(by: str) -> None:
    """A proxy replaces them; and those of other headers are nobody's but the application's."""
    fixture = furnished()
    lines = (("x-auth-user", "mallory"), ("x-department", "x"), ("x.team", "red"), ("x_team", "1"))
    reply = await fixture.check(f"{APP}/page", await fixture.sign_in(), *lines, adapter=by)
    assert reply.status == 200
    assert header(reply, "x-auth-user") == "alice"
    assert fixture.record.header is None


async def test_people_are_told_in_words_and_programs_by_code() -> None:
    fixture = furnished()
    page = await fixture.check(f"{APP}/", ("x.auth.user", "<script>"), HTML)
    assert "can be mistaken for another one" in page.body.decode()
    assert "script" not in page.body.decode()
    program = await fixture.check(f"{APP}/", ("x.auth.user", "root"), JSON)
    assert json.loads(program.body)["error"] == "ambiguous-header"
    assert b"root" not in program.body
