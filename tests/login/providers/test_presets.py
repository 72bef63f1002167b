"""Every kind of provider signs somebody in, over HTTP, as its documentation has it; and does not
where it lies."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest

from authz_sidecar.config.checks import cross_section
from authz_sidecar.config.load import examine_config
from authz_sidecar.config.schema import Config
from authz_sidecar.login.providers.github import MAX_PAGES as MOST_GITHUB_PAGES
from authz_sidecar.oidc.http_client import MAX_RESPONSE_BYTES
from authz_sidecar.provider_presets import PROVIDER_PRESETS
from tests.login.documented_provider import (
    CLIENT_KEY,
    KEY,
    OTHER_TENANT,
    TENANT,
    DocumentedProvider,
    SimulatedProvider,
)
from tests.login.provider_documents import (
    APPLE,
    AZURE,
    COGNITO,
    DOCUMENTED_PROVIDERS,
    GITHUB,
    GOOGLE,
    PING,
)
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.support.sign_in import APP, running_sign_in
from tests.support.sign_in_steps import start_url

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = "/graph/v1.0/me/transitiveMemberOf"


def test_every_kind_is_documented() -> None:
    assert DOCUMENTED_PROVIDERS.keys() == PROVIDER_PRESETS.keys() - {"oidc"}


@pytest.mark.parametrize("documented", DOCUMENTED_PROVIDERS.values(), ids=DOCUMENTED_PROVIDERS)
async def test_a_sign_in_as_documented(
    hostile_provider: HostileProvider, documented: DocumentedProvider
) -> None:
    simulated = SimulatedProvider(documented, hostile_provider)
    providers = {"corp": simulated.settings()}
    async with (
        running_sign_in(simulated.issuer, auth_host=None, providers=providers) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/x"))
        url = urlsplit(asked.headers["location"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == (
            f"{simulated.base}{documented.endpoints['authorization_endpoint']}"
        )
        query = dict(parse_qsl(url.query))
        assert {
            name: query.get(name) for name in documented.expected_parameters
        } == documented.expected_parameters
        assert query["code_challenge_method"] == "S256"

        reply = await simulated.sign_in(browser)
        assert (reply.status_code, reply.headers.get("location")) == (303, f"{APP}/x"), reply.text
        session = await fixture.find_session(browser, APP)
        assert session is not None
        identity = session.identity
        assert {name: getattr(identity, name) for name in documented.expected_identity} == {
            name: simulated.fill_base(value) for name, value in documented.expected_identity.items()
        }
        ended = fixture.context.providers["corp"].end_session_url(
            id_token="t", return_to=f"{APP}/.auth/signed_out", state="s"
        )
        if documented.expected_logout_url is None:
            assert ended is None
        else:
            assert ended is not None
            assert ended.startswith(simulated.fill_base(documented.expected_logout_url))
        assert not [path for _, path, _, _ in hostile_provider.seen if "windows.net" in path]


async def sign_in_as_documented(
    hostile: HostileProvider, documented: DocumentedProvider, status: int = 303, **configured: Any
) -> Any:
    """The identity, where the sign-in ends with `status`."""
    simulated = SimulatedProvider(documented, hostile)
    return await sign_in_identity(simulated, status, **configured)


async def sign_in_identity(
    simulated: SimulatedProvider, status: int = 303, **configured: Any
) -> Any:
    providers = {"corp": simulated.settings(**configured)}
    async with (
        running_sign_in(simulated.issuer, auth_host=None, providers=providers) as fixture,
        fixture.browser() as browser,
    ):
        reply = await simulated.sign_in(browser)
        assert reply.status_code == status, reply.text
        session = await fixture.find_session(browser, APP)
        assert (session is not None) == (status == 303)
        return None if session is None else session.identity


def with_claims(documented: DocumentedProvider, **changes: object) -> DocumentedProvider:
    """With other claims, of which None removes one."""
    claims = {**(documented.claims or {}), **changes}
    left = {name: value for name, value in claims.items() if value is not None}
    return dataclasses.replace(documented, claims=left)


# Azure


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"tid": OTHER_TENANT}, id="tid of another tenant than iss"),
        pytest.param({"iss": f"{{base}}/{OTHER_TENANT}/v2.0"}, id="iss of another than tid"),
        pytest.param({"tid": None}, id="no tid"),
        pytest.param({"tid": "common", "iss": "{base}/common/v2.0"}, id="tid is no GUID"),
        pytest.param({"tid": "x/../y", "iss": "{base}/x/../y/v2.0"}, id="tid is a path"),
        pytest.param({"iss": "{base}/{tenantid}/v2.0"}, id="iss is the template"),
        pytest.param({"tid": 7}, id="tid is a number"),
    ],
)
async def test_a_token_of_a_doubtful_tenant_is_refused(
    hostile_provider: HostileProvider, changes: dict[str, object]
) -> None:
    await sign_in_as_documented(hostile_provider, with_claims(AZURE, **changes), status=403)


async def test_only_allowed_tenants_sign_in(hostile_provider: HostileProvider) -> None:
    assert await sign_in_as_documented(hostile_provider, AZURE, allowed_tenants=[TENANT.upper()])
    await sign_in_as_documented(hostile_provider, AZURE, status=403, allowed_tenants=[OTHER_TENANT])


async def test_a_key_of_another_tenant_is_refused(hostile_provider: HostileProvider) -> None:
    simulated = SimulatedProvider(AZURE, hostile_provider)
    key = {**KEY.jwk, "issuer": f"{simulated.base}/{OTHER_TENANT}/v2.0"}
    hostile_provider.answers["/common/discovery/v2.0/keys"] = document({"keys": [key]})
    await sign_in_identity(simulated, 403)


@pytest.mark.parametrize(
    ("changes", "configured", "email"),
    [
        pytest.param({}, {}, "alice@example.com", id="domain owner verified"),
        pytest.param({"xms_edov": "1"}, {}, "alice@example.com", id="verified, as a string"),
        pytest.param({"xms_edov": None}, {}, None, id="not said"),
        pytest.param({"xms_edov": False}, {}, None, id="not verified"),
        pytest.param({"xms_edov": None, "email_verified": True}, {}, None,
                     id="email_verified is not for Microsoft to say"),
        pytest.param({"xms_edov": None}, {"allow_unverified_email": True}, "alice@example.com",
                     id="the operator allows it"),
    ],
)  # fmt: skip
async def test_an_address_that_any_tenant_could_claim_is_not_believed(
    hostile_provider: HostileProvider,
    changes: dict[str, object],
    configured: dict[str, Any],
    email: str | None,
) -> None:
    identity = await sign_in_as_documented(
        hostile_provider, with_claims(AZURE, **changes), **configured
    )
    assert identity.email == email
    if email is None:
        assert not {"email", "preferred_username"} & identity.claims.keys()


async def test_a_user_name_counts_as_an_address_only_where_allowed(
    hostile_provider: HostileProvider,
) -> None:
    nameless = dataclasses.replace(with_claims(AZURE, email=None), userinfo=None)
    nameless = dataclasses.replace(
        nameless, endpoints={k: v for k, v in AZURE.endpoints.items() if "userinfo" not in k}
    )
    assert (await sign_in_as_documented(hostile_provider, nameless)).email is None
    allowed = await sign_in_as_documented(hostile_provider, nameless, allow_unverified_email=True)
    assert allowed.email == "alice@example.com"


@pytest.mark.parametrize(
    ("page", "status"),
    [
        pytest.param(document({"error": {"code": "Forbidden"}}, 403), 403, id="not permitted"),
        pytest.param(document({"error": {}}, 429), 503, id="too often"),
        pytest.param(Answer(status=503), 503, id="down"),
        pytest.param(Answer(body=b"<html>"), 503, id="garbage"),
        pytest.param(document([]), 503, id="a list"),
        pytest.param(document({"value": "x"}), 503, id="no groups"),
        pytest.param(Answer(body=b" " * (MAX_RESPONSE_BYTES + 1)), 503, id="a flood"),
        pytest.param(Answer(status=302, headers={"location": "/else"}), 503, id="a redirect"),
        pytest.param(document({"value": [], "@odata.nextLink": "https://evil.example/"}), 503,
                     id="the next page elsewhere"),
        pytest.param(document({"value": [], "@odata.nextLink": 7}), 503, id="no next page"),
    ],
)  # fmt: skip
async def test_groups_that_cannot_be_had_let_nobody_in(
    hostile_provider: HostileProvider, page: Answer, status: int
) -> None:
    simulated = SimulatedProvider(AZURE, hostile_provider)
    hostile_provider.answers[GRAPH] = page
    await sign_in_identity(simulated, status)
    assert not hostile_provider.asked_for("/else")


async def test_pages_without_end_are_given_up(hostile_provider: HostileProvider) -> None:
    simulated = SimulatedProvider(AZURE, hostile_provider)
    more = {"value": [], "@odata.nextLink": f"{simulated.base}{GRAPH}?$skiptoken=x"}
    hostile_provider.answers[GRAPH] = document(more)
    await sign_in_identity(simulated, 403)
    assert hostile_provider.asked_for(GRAPH) == 20


async def test_graph_is_not_asked_where_the_token_has_the_groups(
    hostile_provider: HostileProvider,
) -> None:
    told = with_claims(AZURE, _claim_names=None, _claim_sources=None, groups=["g-9"])
    assert (await sign_in_as_documented(hostile_provider, told)).groups == ("g-9",)
    assert not hostile_provider.asked_for(GRAPH)


async def test_one_tenant_has_its_own_issuer(hostile_provider: HostileProvider) -> None:
    issuer = f"{{base}}/{TENANT}/v2.0"
    own = dataclasses.replace(AZURE, path=f"/{TENANT}/v2.0", discovery={"issuer": issuer})
    assert (
        await sign_in_as_documented(hostile_provider, own)
    ).issuer == f"{hostile_provider.issuer}/{TENANT}/v2.0"
    elsewhere = f"{{base}}/{OTHER_TENANT}/v2.0"
    other = dataclasses.replace(own, claims={**(own.claims or {}), "iss": elsewhere})
    await sign_in_as_documented(hostile_provider, other, status=403)


# GitHub


@pytest.mark.parametrize(
    ("emails", "email"),
    [
        pytest.param([{"email": "a@example.com", "primary": True, "verified": True}],
                     "a@example.com", id="primary and verified"),
        pytest.param([{"email": "a@example.com", "primary": True, "verified": False}], None,
                     id="not verified"),
        pytest.param([{"email": "a@example.com", "primary": False, "verified": True}], None,
                     id="not primary"),
        pytest.param([], None, id="none"),
    ],
)  # fmt: skip
async def test_of_github_only_a_verified_primary_address_is_believed(
    hostile_provider: HostileProvider, emails: list[object], email: str | None
) -> None:
    simulated = SimulatedProvider(GITHUB, hostile_provider)
    hostile_provider.answers["/api/v3/user/emails"] = document(emails)
    assert (await sign_in_identity(simulated)).email == email


@pytest.mark.parametrize(
    "path", ["/api/v3/user", "/api/v3/user/emails", "/api/v3/user/orgs", "/api/v3/user/teams"]
)
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(Answer(status=403, body=b"{}"), 403, id="not granted"),
        pytest.param(Answer(status=403, headers={"x-ratelimit-remaining": "0"}), 503, id="often"),
        pytest.param(Answer(status=500), 503, id="down"),
        pytest.param(Answer(body=b"<html>"), 503, id="garbage"),
        pytest.param(document("text"), 503, id="another shape"),
        pytest.param(document(["x"]), 503, id="a list of texts"),
        pytest.param(Answer(body=b" " * (MAX_RESPONSE_BYTES + 1)), 503, id="a flood"),
        pytest.param(Answer(status=301, headers={"location": "/else"}), 503, id="a redirect"),
    ],
)
async def test_a_github_that_says_nothing_of_use_lets_nobody_in(
    hostile_provider: HostileProvider, path: str, answer: Answer, status: int
) -> None:
    simulated = SimulatedProvider(GITHUB, hostile_provider)
    hostile_provider.answers[path] = answer
    await sign_in_identity(simulated, status)
    assert not hostile_provider.asked_for("/else")


@pytest.mark.parametrize("number", [None, "583231", True, 1.5])
async def test_a_github_user_is_a_number(hostile_provider: HostileProvider, number: object) -> None:
    simulated = SimulatedProvider(GITHUB, hostile_provider)
    hostile_provider.answers["/api/v3/user"] = document({"login": "x", "id": number})
    await sign_in_identity(simulated, 503)


async def test_github_lists_are_read_page_by_page_and_not_for_ever(
    hostile_provider: HostileProvider,
) -> None:
    simulated = SimulatedProvider(GITHUB, hostile_provider)
    orgs = [{"login": f"org-{number}"} for number in range(100)]

    def page(_: bytes) -> Answer:
        return document(
            orgs if hostile_provider.seen[-1][1].endswith("&page=1") else [{"login": "last"}]
        )

    hostile_provider.answers["/api/v3/user/orgs"] = page
    assert len((await sign_in_identity(simulated)).groups) == 102
    hostile_provider.answers["/api/v3/user/orgs"] = document(orgs)
    before = hostile_provider.asked_for("/api/v3/user/orgs")
    await sign_in_identity(simulated, 403)
    assert hostile_provider.asked_for("/api/v3/user/orgs") - before == MOST_GITHUB_PAGES


async def test_github_is_asked_for_what_the_scopes_allow(hostile_provider: HostileProvider) -> None:
    identity = await sign_in_as_documented(hostile_provider, GITHUB, scopes=["read:user"])
    assert (identity.subject, identity.email, identity.groups) == ("583231", None, ())
    assert not hostile_provider.asked_for("/api/v3/user/emails")
    assert not hostile_provider.asked_for("/api/v3/user/orgs")


async def test_github_is_asked_with_the_token_in_the_head(
    hostile_provider: HostileProvider,
) -> None:
    await sign_in_as_documented(hostile_provider, GITHUB)
    asked = [(path, head) for _, path, head, _ in hostile_provider.seen if path.startswith("/api/")]
    assert all(head["authorization"] == "Bearer at" for _, head in asked)
    assert not [path for path, _ in asked if "at=" in path or "token" in path]


async def test_a_github_error_with_status_200_is_refused(hostile_provider: HostileProvider) -> None:
    simulated = SimulatedProvider(GITHUB, hostile_provider)
    hostile_provider.answers["/login/oauth/access_token"] = document(
        {"error": "bad_verification_code"}
    )
    await sign_in_identity(simulated, 403)
    assert not hostile_provider.asked_for("/api/v3/user")


@pytest.mark.parametrize(
    ("documented", "path"),
    [
        pytest.param(GITHUB, "/api/v3/user/teams", id="github"),
        pytest.param(AZURE, GRAPH, id="azure"),
    ],
)
async def test_an_api_that_is_slow_costs_bounded_time(
    hostile_provider: HostileProvider,
    documented: DocumentedProvider,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("authz_sidecar.oidc.http_client.TOTAL_SECONDS", 0.5)
    release = threading.Event()
    simulated = SimulatedProvider(documented, hostile_provider)
    hostile_provider.answers[path] = dataclasses.replace(document([]), delay=release)
    try:
        async with asyncio.timeout(15):
            await sign_in_identity(simulated, 503)
    finally:
        release.set()


# Apple


async def test_apple_takes_a_secret_that_we_sign(hostile_provider: HostileProvider) -> None:
    simulated = SimulatedProvider(APPLE, hostile_provider)
    await sign_in_identity(simulated)
    form = simulated.token_request_form()
    secret = form["client_secret"]
    assert jwt.get_unverified_header(secret) == {
        "alg": "ES256",
        "kid": "ABC123DEFG",
        "typ": "JWT",
    }
    said = jwt.decode(
        secret,
        jwt.PyJWK(dict(CLIENT_KEY.jwk), algorithm="ES256"),
        algorithms=["ES256"],
        audience=simulated.issuer,
    )
    assert (said["iss"], said["sub"]) == ("DEF123GHIJ", form["client_id"])
    assert 0 < said["exp"] - said["iat"] <= 300


@pytest.mark.parametrize(
    ("posted", "name"),
    [
        pytest.param(None, None, id="later sign-ins"),
        pytest.param("{", None, id="no JSON"),
        pytest.param('{"name":"root"}', None, id="a text"),
        pytest.param('{"name":{"firstName":"A\\nB"}}', None, id="a line break"),
        pytest.param('{"name":{"firstName":"' + "x" * 300 + '"}}', None, id="too long"),
        pytest.param("[" * 4000, None, id="deep"),
        pytest.param('{"name":{"firstName":" Ann "}}', "Ann", id="one name"),
    ],
)
async def test_what_the_browser_says_of_its_user_is_shown_and_never_judged(
    hostile_provider: HostileProvider, posted: str | None, name: str | None
) -> None:
    form = {} if posted is None else {"user": posted}
    identity = await sign_in_as_documented(
        hostile_provider, dataclasses.replace(APPLE, form_post_parameters=form)
    )
    assert identity.name == name
    assert "name" not in identity.claims
    assert identity.email == "x7@privaterelay.appleid.com"


async def test_other_providers_post_nothing_about_their_user(
    hostile_provider: HostileProvider,
) -> None:
    by_post = dataclasses.replace(
        with_claims(GOOGLE, name=None), userinfo=None, form_post_parameters=APPLE.form_post_parameters,
        settings={"response_mode": "form_post"},
        endpoints={k: v for k, v in GOOGLE.endpoints.items() if "userinfo" not in k},
    )  # fmt: skip
    assert (await sign_in_as_documented(hostile_provider, by_post)).name is None


# Addresses of the others


async def test_an_address_that_the_provider_denies_is_denied_by_any_name(
    hostile_provider: HostileProvider,
) -> None:
    doubted = dataclasses.replace(PING, userinfo={**(PING.userinfo or {}), "email_verified": False})
    assert (await sign_in_as_documented(hostile_provider, doubted)).email is None


async def test_a_kind_that_always_says_verified_is_held_to_it(
    hostile_provider: HostileProvider,
) -> None:
    silent = {k: v for k, v in (COGNITO.userinfo or {}).items() if k != "email_verified"}
    documented = dataclasses.replace(with_claims(COGNITO, email_verified=None), userinfo=silent)
    assert (await sign_in_as_documented(hostile_provider, documented)).email is None


# Configuration


def problems(**provider: Any) -> list[str]:
    config = Config.model_validate(
        {
            "secret_keys": ["Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"],
            "sessions": {"store": "redis://127.0.0.1"},
            "identity_providers": {"corp": {"client_id": "x", **provider}},
            "routes": [],
        }
    )
    return [problem.message for problem in cross_section.find_problems(config)]


@pytest.mark.parametrize("kind", sorted(PROVIDER_PRESETS))
def test_an_issuer_may_be_left_out_where_the_kind_knows_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        f"secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]\nsessions: {{store: redis://127.0.0.1}}\n"
        f"identity_providers: {{corp: {{type: {kind}, client_id: x}}}}\nroutes: []\n"
    )
    found = [
        each.message
        for each in examine_config(path, env={}).problems
        if ".issuer: " in each.message
    ]
    if "issuer" in PROVIDER_PRESETS[kind].defaults:
        assert found == []
    else:
        assert found == [
            (
                f"identity_providers.corp.issuer: is required for `{kind}`,"
                f" such as `{PROVIDER_PRESETS[kind].example}`"
            )
        ]


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        pytest.param({"type": "apple", "client_secret": "x", "response_mode": "query"},
                     "response_mode: must be `form_post`", id="apple by query"),
        pytest.param({"type": "apple"}, "client_key: is required for `apple`", id="no key"),
        pytest.param({"type": "google", "team_id": "x"}, "team_id: applies to `apple`", id="team"),
        pytest.param({"type": "google", "api": "https://x.example"},
                     "api: applies to `github` and `azure`", id="api"),
        pytest.param({"type": "google", "allowed_tenants": [TENANT]},
                     "allowed_tenants: applies to `azure`", id="tenants"),
        pytest.param({"type": "google", "client_authentication": "private_key_jwt"},
                     "client_authentication: needs a `client_key`", id="no key for private_key_jwt"),
        pytest.param({"type": "google", "client_key": "x"},
                     "client_key: is not a private key in PEM", id="no PEM"),
        pytest.param({"type": "google", "authorization_parameters": {"state": "x"}},
                     "authorization_parameters.state: `state` is a reserved parameter", id="state"),
        pytest.param({"type": "google", "scopes": ["email"]}, "scopes: must include `openid`",
                     id="no openid"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(provider: dict[str, Any], problem: str) -> None:
    assert [
        it for it in problems(**provider) if it.startswith(f"identity_providers.corp.{problem}")
    ]


def test_what_the_operator_says_wins_over_the_kind() -> None:
    config = Config.model_validate(
        {
            "secret_keys": ["k" * 32],
            "sessions": {"store": "memory://"},
            "identity_providers": {
                "g": {
                    "type": "google",
                    "client_id": "x",
                    "label": "Work",
                    "authorization_parameters": {"hd": "example.com", "prompt": ""},
                    "claims": {"groups": ["roles"]},
                }
            },
            "routes": [],
        }
    )
    provider = config.identity_providers["g"]
    assert provider.label == "Work"
    assert provider.authorization_parameters == {
        "access_type": "offline",
        "hd": "example.com",
        "prompt": "",
    }
    assert (provider.claims.groups, provider.claims.email) == (("roles",), ("email",))
