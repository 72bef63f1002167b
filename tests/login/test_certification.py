"""The modules of the OpenID Foundation's relying-party plans, under their own names: whole sign-ins
and logouts with a provider that does what each module's provider does.

`docs/conformance.md` has one row for each. Where a module leaves the outcome to the relying party,
the strict one is ours.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from tests.login.dishonest_provider import KEY, TamperedProvider
from tests.login.test_token_refresh import signed_in as refreshable
from tests.servers.browser import page
from tests.servers.hostile_provider import HostileProvider, document
from tests.servers.providers import CLIENT_SECRET
from tests.support import signed_tokens
from tests.support.sign_in import APP, running_sign_in
from tests.support.sign_in_steps import is_app_url, requested_nonce, requested_state, start_url

if TYPE_CHECKING:
    import httpx2

    from tests.servers.browser import Browser

OTHER_KEY = signed_tokens.signing_key("RS256", "k1")
SECOND_KEY = signed_tokens.signing_key("RS256", "k2")
ELLIPTIC_KEY = signed_tokens.signing_key("ES256", "k3")
SID = "provider-session"


@dataclass(frozen=True, kw_only=True)
class Module:
    """What the provider does in a module: changed claims and header, another key, other keys
    published, another userinfo. `passes`: whether somebody is signed in."""

    passes: bool
    claims: dict[str, object] = field(default_factory=dict)
    header: dict[str, object] = field(default_factory=dict)
    key: signed_tokens.SigningKey = KEY
    published: tuple[signed_tokens.SigningKey, ...] = (KEY,)
    userinfo: dict[str, object] = field(default_factory=lambda: {"sub": "alice"})
    unsigned: bool = False

    def token(self, tampered_provider: TamperedProvider, *, nonce: str) -> str:
        claims = json.loads(_part(tampered_provider.id_token(**{"nonce": nonce, **self.claims}), 1))
        if self.unsigned:
            return f"{_text({'alg': 'none'})}.{_text(claims)}."
        return self.key.sign(claims, **self.header)


def _part(token: str, number: int) -> bytes:
    text = token.split(".")[number]
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")


def _text(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


ADDRESS = {"sub": "alice", "email": "alice@example.com", "email_verified": True, "name": "Alice"}
NAMELESS = signed_tokens.SigningKey(KEY.private, KEY.algorithm, None, KEY.jwk)
BASIC: dict[str, Module] = {
    "oidcc-client-test": Module(passes=True),
    "oidcc-client-test-invalid-iss": Module(passes=False, claims={"iss": "https://evil.example"}),
    "oidcc-client-test-missing-sub": Module(passes=False, claims={"sub": None}),
    "oidcc-client-test-invalid-aud": Module(passes=False, claims={"aud": "another"}),
    "oidcc-client-test-missing-iat": Module(passes=False, claims={"iat": None}),
    "oidcc-client-test-kid-absent-single-jwks": Module(passes=True, key=NAMELESS),
    "oidcc-client-test-kid-absent-multiple-jwks": Module(
        passes=False, key=NAMELESS, published=(KEY, SECOND_KEY)
    ),
    "oidcc-client-test-idtoken-sig-rs256": Module(passes=True),
    "oidcc-client-test-idtoken-sig-none": Module(passes=False, unsigned=True),
    "oidcc-client-test-invalid-sig-rs256": Module(passes=False, key=OTHER_KEY),
    "oidcc-client-test-userinfo-invalid-sub": Module(passes=False, userinfo={"sub": "mallory"}),
    "oidcc-client-test-nonce-invalid": Module(passes=False, claims={"nonce": "another"}),
    "oidcc-client-test-scope-userinfo-claims": Module(passes=True, userinfo=ADDRESS),
    "oidcc-client-test-client-secret-basic": Module(passes=True),
}
BOTH_MODES = pytest.mark.parametrize("mode", ["query", "form_post"])


async def sign_in(
    browser: Browser,
    tampered_provider: TamperedProvider,
    module: Module,
    *,
    mode: str = "query",
    **claims: object,
) -> httpx2.Response:
    """The answer to the callback."""
    tampered_provider.server.answers["/jwks"] = document(
        {"keys": [key.jwk for key in module.published]}
    )
    tampered_provider.server.answers["/userinfo"] = document(module.userinfo)
    asked = await browser.get(start_url(APP, "/"))
    assert ("response_mode=form_post" in asked.headers["location"]) is (mode == "form_post")
    nonce = await requested_nonce(asked)
    told = (
        tampered_provider.id_token(nonce=nonce, **claims)
        if claims
        else module.token(tampered_provider, nonce=nonce)
    )
    tampered_provider.set_token_response(id_token=told)
    answer = {"code": "c", "state": await requested_state(asked)}
    where = {"params": answer} if mode == "query" else {"data": answer}
    method = "GET" if mode == "query" else "POST"
    return await browser.request(method, f"{APP}/.auth/callback/corp", **where)


@pytest.fixture
def tampered_provider(hostile_provider: HostileProvider) -> TamperedProvider:
    return TamperedProvider(hostile_provider)


@BOTH_MODES
@pytest.mark.parametrize("name", BASIC)
async def test_basic(tampered_provider: TamperedProvider, name: str, mode: str) -> None:
    module = BASIC[name]
    settings = {"corp": {"response_mode": mode}}
    async with (
        running_sign_in(
            tampered_provider.server.issuer, auth_host=None, providers=settings
        ) as fixture,
        fixture.browser() as browser,
    ):
        landed = await sign_in(browser, tampered_provider, module, mode=mode)
        session = await fixture.find_session(browser, APP)
    assert landed.status_code == (303 if module.passes else 403), landed.text
    assert (session is not None) is module.passes
    _, _, headers, body = next(
        each for each in tampered_provider.server.seen if each[1] == "/token"
    )
    authentication = b64decode(headers["authorization"].removeprefix("Basic ")).decode()
    assert unquote(authentication.partition(":")[2].replace("+", " ")) == CLIENT_SECRET
    assert b"client_secret" not in body
    if session is not None and "email" in module.userinfo:
        assert (session.identity.email, session.identity.name) == ("alice@example.com", "Alice")
        asked_for = [
            headers for _, path, headers, _ in tampered_provider.server.seen if path == "/userinfo"
        ]
        assert asked_for[-1]["authorization"].startswith("Bearer ")


# Configuration


CONFIGURATION = "/.well-known/openid-configuration"


async def test_oidcc_client_test_discovery_openid_config(
    tampered_provider: TamperedProvider,
) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        assert (
            await sign_in(browser, tampered_provider, BASIC["oidcc-client-test"])
        ).status_code == 303
    assert tampered_provider.server.asked_for(CONFIGURATION) == 1


async def test_oidcc_client_test_discovery_jwks_uri_keys(
    tampered_provider: TamperedProvider,
) -> None:
    elsewhere = "/keys/elsewhere"
    tampered_provider.server.offers(jwks_uri=f"{tampered_provider.server.issuer}{elsewhere}")
    tampered_provider.server.answers[elsewhere] = document({"keys": [KEY.jwk]})
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        assert (
            await sign_in(browser, tampered_provider, BASIC["oidcc-client-test"])
        ).status_code == 303
    assert tampered_provider.server.asked_for(elsewhere) == 1
    assert not tampered_provider.server.asked_for("/jwks")


async def test_oidcc_client_test_discovery_issuer_mismatch(
    tampered_provider: TamperedProvider,
) -> None:
    tampered_provider.server.offers(issuer="https://evil.example")
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        refused = await browser.get(start_url(APP, "/"))
    assert refused.status_code == 503
    assert "location" not in refused.headers


async def test_oidcc_client_test_signing_key_rotation(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        for key in (KEY, SECOND_KEY):
            module = Module(passes=True, key=key, published=(key,))
            browser.client.cookies.clear()
            assert (await sign_in(browser, tampered_provider, module)).status_code == 303


async def test_oidcc_client_test_signing_key_rotation_just_before_signing(
    tampered_provider: TamperedProvider,
) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(
            browser, tampered_provider, BASIC["oidcc-client-test"]
        )  # our copy of the keys is warm
        browser.client.cookies.clear()
        asked = await browser.get(start_url(APP, "/"))
        tampered_provider.server.answers["/jwks"] = document({"keys": [SECOND_KEY.jwk]})
        module = Module(passes=True, key=SECOND_KEY)
        tampered_provider.set_token_response(
            id_token=module.token(tampered_provider, nonce=await requested_nonce(asked))
        )
        url = f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        assert (await browser.get(url)).status_code == 303


# Logout


async def signed_out_at_the_provider(browser: Browser, tampered_provider: TamperedProvider) -> str:
    """The address at the provider that our sign-out leads to."""
    end = f"{tampered_provider.server.issuer}/end"
    tampered_provider.server.offers(
        userinfo_endpoint=f"{tampered_provider.server.issuer}/userinfo", end_session_endpoint=end
    )
    await sign_in(browser, tampered_provider, BASIC["oidcc-client-test"], sid=SID)
    done = await browser.submit(await browser.get(f"{APP}/.auth/sign_out"), {"scope": "everywhere"})
    onward = page(done).refresh or ""
    assert onward.startswith(f"{end}?"), done.text
    return onward


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(lambda given: given, id="oidcc-client-test-rp-init-logout"),
        pytest.param(lambda _: "another", id="oidcc-client-test-rp-init-logout-other-state"),
        pytest.param(lambda _: None, id="oidcc-client-test-rp-init-logout-no-state"),
    ],
)
async def test_rp_initiated_logout(tampered_provider: TamperedProvider, state: Any) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = parse_qs(
            urlsplit(await signed_out_at_the_provider(browser, tampered_provider)).query
        )
        assert _part(asked["id_token_hint"][0], 1)
        returned = state(asked["state"][0])
        suffix = "" if returned is None else f"?state={quote(returned, safe='')}"
        shown = await browser.get(f"{asked['post_logout_redirect_uri'][0]}{suffix}")
        assert shown.status_code == 200
        assert f"{APP}/" in page(shown).links
        assert await fixture.find_session(browser, APP) is None


def by_another_algorithm(token: str) -> str:
    """With a key that the provider does publish."""
    return ELLIPTIC_KEY.sign(json.loads(_part(token, 1)), typ="logout+jwt")


def without_signature(token: str) -> str:
    return f"{_text({'alg': 'none', 'typ': 'logout+jwt'})}.{token.split('.')[1]}."


@pytest.mark.parametrize(
    ("changes", "made", "status"),
    [
        pytest.param({}, str, 200, id="oidcc-client-test-rp-backchannel-rpinitlogout"),
        pytest.param(
            {},
            without_signature,
            400,
            id="oidcc-client-test-rp-backchannel-rpinitlogout-alg-none",
        ),
        pytest.param(
            {"events": None}, str, 400, id="oidcc-client-test-rp-backchannel-rpinitlogout-no-event"
        ),
        pytest.param(
            {"nonce": "n"}, str, 400, id="oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce"
        ),
        pytest.param(
            {},
            by_another_algorithm,
            400,
            id="oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg",
        ),
        pytest.param(
            {"aud": "other"}, str, 400, id="oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud"
        ),
        pytest.param(
            {"events": {"urn:other": {}}},
            str,
            400,
            id="oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event",
        ),
        pytest.param(
            {"iss": "https://evil.example"},
            str,
            400,
            id="oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss",
        ),
    ],
)
async def test_back_channel_logout(
    tampered_provider: TamperedProvider, changes: dict[str, Any], made: Any, status: int
) -> None:
    registered = {"corp": {"algorithms": ("RS256",)}}
    async with (
        running_sign_in(
            tampered_provider.server.issuer, auth_host=None, providers=registered
        ) as fixture,
        fixture.browser() as browser,
        fixture.browser() as nobody,
    ):
        module = Module(passes=True, published=(KEY, ELLIPTIC_KEY))
        await sign_in(browser, tampered_provider, module, sid=SID)
        done = await nobody.request(
            "POST",
            f"{APP}/.auth/backchannel-logout",
            data={"logout_token": made(tampered_provider.logout_token(sub="alice", **changes))},
        )
        assert (done.status_code, done.headers["cache-control"]) == (status, "no-store")
        assert (await fixture.find_session(browser, APP) is None) is (status == 200)


@pytest.mark.parametrize(
    "by_us",
    [
        pytest.param(True, id="oidcc-client-test-rp-frontchannel-rpinitlogout"),
        pytest.param(False, id="oidcc-client-test-rp-frontchannel-opinitlogout"),
    ],
)
async def test_front_channel_logout(tampered_provider: TamperedProvider, *, by_us: bool) -> None:
    """The provider's page shows its frames, whoever began the logout."""
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        if by_us:
            await signed_out_at_the_provider(browser, tampered_provider)
        else:
            await sign_in(browser, tampered_provider, BASIC["oidcc-client-test"], sid=SID)
            assert await fixture.find_session(browser, APP) is not None
        issuer = quote(tampered_provider.server.issuer, safe="")
        frame = f"{APP}/.auth/frontchannel-logout?iss={issuer}&sid={SID}"
        shown = await browser.get(frame)
        assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
        assert await fixture.find_session(browser, APP) is None


# Sign-in that somebody else begins


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_oidcc_client_test_3rd_party_init_login(
    tampered_provider: TamperedProvider, method: str
) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        given = {"iss": tampered_provider.server.issuer, "target_link_uri": f"{APP}/x?y=1"}
        where: dict[str, Any] = {"params": given} if method == "GET" else {"data": given}
        asked = await browser.request(method, f"{APP}/.auth/start", **where)
        module = BASIC["oidcc-client-test"]
        tampered_provider.set_token_response(
            id_token=module.token(tampered_provider, nonce=await requested_nonce(asked))
        )
        callback = f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        last = await browser.visit(callback, stop=is_app_url)
        assert last.headers["location"] == f"{APP}/x?y=1"
        assert await fixture.find_session(browser, APP) is not None


# Refresh tokens


@pytest.mark.parametrize(
    ("claims", "lives"),
    [
        pytest.param({}, True, id="oidcc-client-test-refresh-token"),
        pytest.param(
            {"iss": "https://evil.example"},
            False,
            id="oidcc-client-test-refresh-token-invalid-issuer",
        ),
        pytest.param({"sub": "mallory"}, False, id="oidcc-client-test-refresh-token-invalid-sub"),
    ],
)
async def test_refresh_token(
    hostile_provider: HostileProvider, claims: dict[str, object], *, lives: bool
) -> None:
    async with refreshable(hostile_provider) as scene:
        scene.tampered_provider.set_token_response(
            id_token=scene.tampered_provider.id_token(nonce=None, **claims),
            refresh_token="r1",
            expires_in=600,
        )
        scene.advance_clock()
        assert (await scene.check() is not None) is lives
        assert scene.refreshes() == ["r0"]
        assert (await scene.fixture.find_session(scene.browser, APP) is not None) is lives
