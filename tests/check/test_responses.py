"""What an application is told, and how much of it fits."""

from __future__ import annotations

from dataclasses import replace

import jwt
import pytest

from authz_sidecar.adapters.base import Rejected
from authz_sidecar.core.header_template import HeaderTemplate, parse_header_template
from authz_sidecar.errors import AuthzError, BadProxyRequest, RateLimited, TransactionLost
from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    ALICE,
    APP,
    HTML,
    JSON,
    AuthorizerFixture,
    build_authorizer,
    header,
)

SIGNED_IN = RouteSpec(name="app", allow_any_authenticated_user=True)


async def told(fixture: AuthorizerFixture, *cookies: str, **changes: object) -> dict[str, str]:
    """The headers for the application when somebody comes."""
    identity = replace(ALICE, **changes)  # type: ignore[arg-type]
    name, cookie = await fixture.sign_in(identity)
    reply = await fixture.check(f"{APP}/", (name, "; ".join((cookie, *cookies))))
    assert reply.status == 200
    headers = dict(reply.headers)
    assert len(headers) == len(reply.headers), "each at most once"
    assert all(headers.values()), "none empty"
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    return headers


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        pytest.param({"name": "Zoë 李"}, "x-auth-name", "Zo%C3%AB %E6%9D%8E", id="text"),
        pytest.param(
            {"name": "Al\r\nX-Auth-Groups: admins"},
            "x-auth-name",
            "Al%0D%0AX-Auth-Groups: admins",
            id="lines",
        ),
        pytest.param({"name": "A\x00B"}, "x-auth-name", "A%00B", id="nul"),
        pytest.param({"groups": ("a,b", "c%d")}, "x-auth-groups", "a%2Cb,c%25d", id="commas"),
        pytest.param({"subject": "corp\\ann"}, "x-auth-user", "corp\\ann", id="backslash"),
        pytest.param({"groups": ()}, "x-auth-groups", None, id="no groups"),
        pytest.param({"email": None}, "x-auth-email", None, id="no address"),
        pytest.param({"name": ""}, "x-auth-name", None, id="empty name"),
    ],
)
async def test_identity_headers_carry_any_value(
    changes: dict[str, object], name: str, value: str | None
) -> None:
    assert (await told(build_authorizer(SIGNED_IN), **changes)).get(name) == value


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        pytest.param("it", "it", id="text"),
        pytest.param("IT, Auckland", "IT, Auckland", id="comma in text"),
        pytest.param(["it", "é,ä", "50%"], "it,%C3%A9%2C%C3%A4,50%25", id="list, encoded once"),
        pytest.param(True, "true", id="truth"),
        pytest.param(3, "3", id="number"),
        pytest.param(["a", 1, False, None, ""], "a,1,false", id="mixed list"),
        pytest.param({"country": "NZ"}, None, id="structure"),
        pytest.param(None, None, id="nothing"),
        pytest.param([], None, id="empty list"),
    ],
)
async def test_claims_become_headers(claim: object, value: str | None) -> None:
    fixture = build_authorizer(SIGNED_IN, claims={"X-Department": "department"})
    headers = await told(fixture, claims={"department": claim})
    assert headers.get("x-department") == value


async def test_a_claim_may_take_the_place_of_a_usual_header() -> None:
    fixture = build_authorizer(SIGNED_IN, claims={"X-Auth-User": "login"})
    assert (await told(fixture, claims={"login": "ann"}))["x-auth-user"] == "ann"


async def test_the_assertion_says_what_the_headers_say() -> None:
    fixture = build_authorizer(
        SIGNED_IN,
        claims={"X-Department": "department", "X-Issuer": "iss", "X-Who": "sub"},
        preset="pomerium",
    )
    claims = {"department": ["it", "ops"], "iss": "https://evil.example", "sub": "root"}
    headers = await told(fixture, claims=claims, groups=())
    token = headers["x-pomerium-jwt-assertion"]
    assert jwt.get_unverified_header(token)["typ"] == "JWT"
    keys = jwt.PyJWKSet.from_dict(fixture.signer.jwks())
    said = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]].key,
        algorithms=["ES256"],
        audience="app.example.com",
        issuer="app.example.com",
        options={"verify_exp": False, "verify_iat": False, "require": ["jti", "iat", "exp"]},
    )
    assert said["sub"] == said["user"] == "alice"
    assert said["groups"] == []
    assert said["department"] == "it,ops"
    assert said["exp"] - said["iat"] == 300
    assert said["sid"] == fixture.record.session.public_id if fixture.record.session else False


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param((), None, id="ours alone"),
        pytest.param(("theme=dark",), "theme=dark", id="one of the app's"),
        pytest.param(("a=1", "__Host-authz-flow-x=2", "b=3"), "a=1; b=3", id="a sign-in's"),
        pytest.param(('odd="a b"', "novalue"), 'odd="a b"; novalue', id="odd ones"),
    ],
)
async def test_the_application_receives_its_own_cookies_alone(
    sent: tuple[str, ...], kept: str | None
) -> None:
    assert (await told(build_authorizer(SIGNED_IN), *sent)).get("cookie") == kept


async def test_cookies_are_left_alone_where_the_operator_says_so() -> None:
    assert (
        "__Host-authz=" in (await told(build_authorizer(SIGNED_IN, strip_cookie=False)))["cookie"]
    )


@pytest.mark.parametrize(
    ("changes", "cookie"),
    [
        pytest.param({"groups": tuple(map("group-{}".format, range(1000)))}, "a=1", id="groups"),
        pytest.param({"name": "é" * 700}, "a=1", id="name"),
        pytest.param({}, f"a={'b' * 13_000}", id="cookies"),
    ],
)
async def test_what_does_not_fit_is_refused_and_never_cut_off(
    changes: dict[str, object], cookie: str
) -> None:
    fixture = build_authorizer(SIGNED_IN)
    name, session = await fixture.sign_in(replace(ALICE, **changes))  # type: ignore[arg-type]
    for accept in (HTML, JSON):
        reply = await fixture.check(f"{APP}/", (name, f"{session}; {cookie}"), accept)
        assert reply.status == 403
        assert header(reply, "x-authz-reason") == "headers-too-large"
        assert fixture.record.reasons == ("headers-too-large",)
        assert fixture.record.outcome == "deny"
    page = await fixture.check(f"{APP}/", (name, f"{session}; {cookie}"), HTML)
    assert b"more data than the application can receive" in page.body


async def test_envoy_is_told_every_name_that_must_not_come_from_a_client() -> None:
    fixture = build_authorizer(SIGNED_IN, claims={"X-Department": "department"})
    name, cookie = await fixture.sign_in(replace(ALICE, groups=()))
    reply = await fixture.check(f"{APP}/", (name, cookie), adapter="envoy")
    removed = (header(reply, "x-envoy-auth-headers-to-remove") or "").split(", ")
    given = {name for name, _ in reply.headers}
    assert {"x-auth-groups", "x_auth_groups", "x-auth_groups", "x.auth.groups"} <= set(removed)
    assert {"x_auth_user", "x.auth.user", "x_department", "cookie"} <= set(removed)
    assert not given & set(removed), "Envoy removes after it has set"
    assert len(set(removed)) == len(removed)
    public = build_authorizer(RouteSpec(allow_public_unauthenticated_access=True))
    reply = await public.check(f"{APP}/", ("cookie", "a=1"), adapter="envoy")
    removed = (header(reply, "x-envoy-auth-headers-to-remove") or "").split(", ")
    assert {"x-auth-user", "x-auth-email", "x-auth-name", "x-auth-assertion"} <= set(removed)
    assert "cookie" not in removed
    assert header(reply, "cookie") == "a=1"


@pytest.mark.parametrize(
    ("problem", "status", "reason", "retry"),
    [
        pytest.param(BadProxyRequest("x"), 400, "bad-request", None, id="bad question"),
        pytest.param(RateLimited("x", retry_after=17), 429, "throttled", 17, id="throttled"),
        pytest.param(TransactionLost("x"), 400, "bad-request", None, id="another 400"),
        pytest.param(AuthzError("x"), 503, "unavailable", 5, id="anything else"),
    ],
)
def test_trouble(problem: AuthzError, status: int, reason: str, retry: int | None) -> None:
    answer = build_authorizer(SIGNED_IN).authorizer.responses.error_response(problem, None, "r1")
    assert answer == Rejected(
        status=status,
        reason=reason,
        message=problem.public_message,
        request_id="r1",
        retry_after=retry,
    )


def templated(**headers: str) -> dict[str, HeaderTemplate]:
    return {name.replace("_", "-"): parse_header_template(text) for name, text in headers.items()}


async def test_a_route_tells_its_application_more() -> None:
    route = replace(
        SIGNED_IN,
        set_request_headers=templated(
            X_Tenant="blue", X_Auth_Name="somebody", X_Lang="$pomerium.request.headers.x-lang"
        ),
    )
    headers = await told(build_authorizer(route))
    assert headers["x-tenant"] == "blue"
    assert headers["x-auth-name"] == "somebody", "what the route says itself comes first"
    assert "x-lang" not in headers


async def test_a_public_route_tells_strangers_headers_too() -> None:
    route = RouteSpec(
        allow_public_unauthenticated_access=True,
        set_request_headers=templated(X_Tenant="blue", X_Token="$pomerium.jwt"),
    )
    reply = await build_authorizer(route).check(f"{APP}/")
    assert header(reply, "x-tenant") == "blue"
    assert header(reply, "x-token") is None


async def test_headers_of_one_route_are_taken_from_clients_of_every_other() -> None:
    route = replace(
        SIGNED_IN, prefix="/a", name="a", set_request_headers=templated(X_Tenant="blue")
    )
    fixture = build_authorizer(SIGNED_IN, route)
    managed = fixture.authorizer.responses.identity_headers
    assert "X-Tenant" in managed.managed_names
    assert {"x-tenant", "x_tenant"} <= set(managed.headers_to_remove(()))


async def test_templates_count_toward_the_bound() -> None:
    route = replace(SIGNED_IN, set_request_headers=templated(X_Big="x" * 4000))
    fixture = build_authorizer(route)
    name, cookie = await fixture.sign_in(ALICE)
    reply = await fixture.check(f"{APP}/", (name, cookie))
    assert reply.status == 403
