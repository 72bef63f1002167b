"""Our own tokens at the gate: which routes they open, as whom, and when they do not any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.accounts.api_tokens import ApiTokenAuthenticator
from authz_sidecar.accounts.service_accounts import ServiceAccounts
from authz_sidecar.core.types import SessionKind
from authz_sidecar.sessions.api_tokens import (
    ApiTokenPrefix,
    format_api_token,
    parse_api_token,
    tool_scope,
)
from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    ALICE,
    APP,
    JSON,
    NAMES,
    NAVIGATION,
    AuthorizerFixture,
    build_authorizer,
    header,
)

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session

ROUTES = (
    RouteSpec(name="app", allow_any_authenticated_user=True),
    RouteSpec(name="api", prefix="/api", allow_any_authenticated_user=True, service_accounts=True),
    RouteSpec(
        name="deploy",
        prefix="/deploy",
        service_accounts=True,
        policy={"allow": {"or": [{"user": {"is": "service-account/deploy"}}]}},
    ),
    RouteSpec(
        name="groups",
        prefix="/groups",
        service_accounts=True,
        policy={"allow": {"and": [{"groups": {"has": "bots"}}, {"claim/team": "blue"}]}},
    ),
    RouteSpec(
        name="person",
        prefix="/person",
        service_accounts=True,
        policy={"allow": {"or": [{"user": {"is": "alice"}}]}},
    ),
    RouteSpec(
        name="tools", prefix="/tools", allow_any_authenticated_user=True, command_line_tools=True
    ),
    RouteSpec(
        name="other",
        from_="https://other.example.com",
        allow_any_authenticated_user=True,
        command_line_tools=True,
        service_accounts=True,
    ),
    RouteSpec(
        name="partners",
        prefix="/partners",
        identity_provider=("partners",),
        allow_any_authenticated_user=True,
        command_line_tools=True,
    ),
)


@dataclass
class Door:
    """The gate's own way to sessions, which tests may replace."""

    homes: list[AuthorizerFixture] = field(default_factory=list)

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        return await self.homes[0].sessions.find(token, scope=scope, provider=provider)


def home() -> AuthorizerFixture:
    door = Door()
    door.homes.append(
        build_authorizer(
            *ROUTES,
            providers=("corp", "partners"),
            default_provider="corp",
            authenticators=(ApiTokenAuthenticator(door),),
        )
    )
    return door.homes[0]


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


async def account(fixture: AuthorizerFixture, name: str = "deploy", **options: Any) -> str:
    accounts = ServiceAccounts(fixture.sessions)
    token, _ = await accounts.create_token(name, **{"lifetime": 86400.0, "routes": (), **options})
    return token


async def tool(fixture: AuthorizerFixture, origin: str = APP) -> str:
    _, parent = await fixture.sessions.create(identity=ALICE, scope=APP)
    secret, _ = await fixture.sessions.create(
        identity=ALICE, scope=tool_scope(origin), parent=parent, kind=SessionKind.TOOL
    )
    return format_api_token(ApiTokenPrefix.TOOL, secret)


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        pytest.param("/api/x", {}, 200, id="any authenticated user, where the route takes them"),
        pytest.param("/deploy", {}, 200, id="by name"),
        pytest.param("/deploy", {"name": "other"}, 403, id="another name"),
        pytest.param("/groups", {}, 403, id="without groups"),
        pytest.param(
            "/groups", {"groups": ("bots",), "claims": {"team": "blue"}}, 200, id="groups and claim"
        ),
        pytest.param("/person", {"name": "alice"}, 403, id="a person of the same name"),
        pytest.param("/api/x", {"routes": ("api",)}, 200, id="confined to this route"),
        pytest.param("/api/x", {"routes": ("deploy",)}, 401, id="confined to another route"),
        pytest.param("/tools", {}, 401, id="a route that takes tools alone"),
    ],
)
@pytest.mark.parametrize("by", ["nginx", "traefik", "envoy"])
async def test_a_service_account_opens(
    by: str, path: str, options: dict[str, Any], status: int
) -> None:
    at = home()
    token = await account(at, **options)
    assert (await at.check(f"{APP}{path}", bearer(token), adapter=by)).status == status


@pytest.mark.parametrize("by", [name for name in NAMES if name != "nginx-challenge"])
async def test_the_app_hears_who_a_service_account_is(by: str) -> None:
    at = home()
    token = await account(at)
    reply = await at.check(f"{APP}/api", bearer(token), adapter=by)
    assert (reply.status, header(reply, "x-auth-user")) == (200, "service-account/deploy")
    assert at.record.credential == "service-account"


async def test_a_route_that_takes_none_leaves_the_header_to_the_app() -> None:
    at = home()
    token = await account(at)
    cookie = await at.sign_in()
    assert (await at.check(f"{APP}/", bearer(token), JSON)).status == 401
    assert (await at.check(f"{APP}/", bearer(token), cookie)).status == 200


async def test_a_bad_token_is_no_reason_to_use_the_cookie() -> None:
    at = home()
    cookie = await at.sign_in()
    bad = format_api_token(ApiTokenPrefix.SERVICE_ACCOUNT, "A" * 43)
    reply = await at.check(f"{APP}/api", bearer(bad), cookie, *NAVIGATION)
    assert reply.status == 401
    assert 'error="invalid_token"' in (header(reply, "www-authenticate") or "")


async def test_a_revoked_token_is_nobodys_with_the_next_request() -> None:
    at = home()
    one, other = await account(at), await account(at)
    stays = await account(at, "other")
    assert (await at.check(f"{APP}/api", bearer(one))).status == 200
    assert await ServiceAccounts(at.sessions).revoke("deploy") == 2
    for token, status in ((one, 401), (other, 401), (stays, 200)):
        assert (await at.check(f"{APP}/api", bearer(token))).status == status


async def test_one_token_of_a_name_is_revoked_by_its_id() -> None:
    at = home()
    accounts = ServiceAccounts(at.sessions)
    old, session = await accounts.create_token("deploy", lifetime=86400.0, routes=())
    new = await account(at)
    assert await accounts.revoke(session.public_id) == 1
    assert (await at.check(f"{APP}/api", bearer(old))).status == 401
    assert (await at.check(f"{APP}/api", bearer(new))).status == 200


async def test_a_token_ends_when_it_was_said_to() -> None:
    at = home()
    token = await account(at)
    at.now[0] += 86399
    assert (await at.check(f"{APP}/api", bearer(token))).status == 200
    at.now[0] += 1
    assert (await at.check(f"{APP}/api", bearer(token))).status == 401


@pytest.mark.parametrize(
    ("url", "made_for", "status"),
    [
        pytest.param(f"{APP}/tools", APP, 200, id="its host"),
        pytest.param(f"{APP}/tools", "https://other.example.com", 401, id="another host's"),
        pytest.param("https://other.example.com/", APP, 401, id="on another host"),
        pytest.param(f"{APP}/partners", APP, 401, id="a route of another provider"),
        pytest.param(f"{APP}/api", APP, 401, id="a route that takes service accounts alone"),
    ],
)
async def test_a_tool_opens(url: str, made_for: str, status: int) -> None:
    at = home()
    assert (await at.check(url, bearer(await tool(at, made_for)))).status == status


async def test_a_tool_is_the_person_it_works_for() -> None:
    at = home()
    reply = await at.check(f"{APP}/tools", bearer(await tool(at)))
    assert header(reply, "x-auth-user") == "alice"


async def test_a_tool_ends_with_the_person_signing_out_everywhere() -> None:
    at = home()
    token = await tool(at)
    await at.sessions.end_user(provider="corp", issuer=ALICE.issuer, subject="alice")
    assert (await at.check(f"{APP}/tools", bearer(token))).status == 401


async def test_a_cookie_is_no_token_and_a_token_no_cookie() -> None:
    at = home()
    name, line = await at.sign_in()
    cookie, _, secret = line.partition("=")
    for prefix in ApiTokenPrefix:
        for path in ("/api", "/tools"):
            stolen = bearer(format_api_token(prefix, secret))
            assert (await at.check(f"{APP}{path}", stolen)).status == 401
    for token in (await account(at), await tool(at)):
        found = parse_api_token(token)
        assert found is not None
        reply = await at.check(f"{APP}/", (name, f"{cookie}={found[1]}"), JSON)
        assert reply.status == 401


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param("azsa_", id="no secret"),
        pytest.param("azsa_short", id="a short secret"),
        pytest.param(f"azsa_{'A' * 44}", id="a long secret"),
        pytest.param(f"azsa_ {'A' * 43}", id="a space"),
        pytest.param(f"AZSA_{'A' * 43}", id="another prefix"),
        pytest.param("A" * 43, id="no prefix"),
        pytest.param(f"azsa_azsa_{'A' * 43}", id="two prefixes"),
        pytest.param("", id="nothing"),
    ],
)
async def test_what_is_no_token_of_ours_is_refused_unread(credential: str) -> None:
    assert parse_api_token(credential) is None
    at = home()
    assert (await at.check(f"{APP}/api", bearer(credential))).status == 401


async def test_somebody_without_a_token_is_told_what_would_do() -> None:
    at = home()
    reply = await at.check(f"{APP}/api", JSON)
    assert reply.status == 401
    assert header(reply, "www-authenticate") == 'Bearer realm="app.example.com"'


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("a/b", {}, id="a slash"),
        pytest.param("-a", {}, id="an option"),
        pytest.param("a b", {}, id="a space"),
        pytest.param("a" * 65, {}, id="long"),
        pytest.param("a\n", {}, id="a line end"),
        pytest.param("a", {"sub": "alice"}, id="another subject"),
    ],
)
async def test_names_that_cannot_be(name: str, claims: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="name"):
        await account(home(), name, claims=claims)
