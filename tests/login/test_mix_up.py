"""Mix-up (RFC 9700 section 4.4): of two providers one is hostile, and wants a code of the other.

The attacker begins a sign-in with the honest provider, and waits. The victim begins one with the
hostile provider, which leads on to the honest one, with the attacker's nonce and challenge. Where the
answer is taken for one of the hostile provider, the code goes there, and signs the attacker in.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.servers.browser import page
from tests.servers.strict_provider import StrictProvider, running_strict_provider
from tests.support.sign_in import APP, AUTH, SignInFixture, running_sign_in
from tests.support.sign_in_steps import cleared_cookies, is_app_url, restart_link, start_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx2

    from tests.servers.browser import Browser

Settings = dict[str, Any]

SHARED: Settings = {"callback": "shared"}
REQUIRED: Settings = {"callback": "shared", "authorization_response_iss": "required"}
OWN: Settings = {"callback": "own"}
POSTED: Settings = {"response_mode": "form_post"}

WHERE = pytest.mark.parametrize("auth_host", [AUTH, None], ids=["central host", "its own host"])


@dataclass(frozen=True, kw_only=True)
class AttackVariant:
    """A form of the attack. `redirect_path` is the redirect URI that the hostile provider asks the
    honest one to answer to; `registered` are those that it would. Paths below the base path."""

    honest: Settings
    hostile: Settings
    redirect_path: str = "callback/honest"
    registered: tuple[str, ...] = ("callback/honest",)
    honest_sends_iss: bool = False
    promises: bool = False
    status: int = 403
    """Of the page that the victim ends on."""
    page_text: str = "came to the address of another provider"


ATTACK_VARIANTS = {
    "URIs of their own": AttackVariant(honest=OWN, hostile=OWN),
    "URIs of their own, and iss": AttackVariant(honest=OWN, hostile=OWN, honest_sends_iss=True),
    "URIs of their own, and posted": AttackVariant(honest=OWN | POSTED, hostile=OWN | POSTED),
    "the hostile one's URI, at a provider that knows its own": AttackVariant(
        honest=OWN,
        hostile=OWN,
        redirect_path="callback/hostile",
        status=400,
        page_text="invalid_request",
    ),
    "the hostile one's URI, at a provider that takes any below the old one": AttackVariant(
        honest=OWN,
        hostile=OWN,
        redirect_path="callback/hostile",
        registered=("callback/honest", "callback/hostile"),
        honest_sends_iss=True,
        page_text="You are not signed in",
    ),
    "the old URI is still registered": AttackVariant(
        honest=OWN,
        hostile=OWN,
        redirect_path="callback",
        registered=("callback", "callback/honest"),
    ),
    "the old URI is still registered, and the hostile one alone shares it": AttackVariant(
        honest=OWN,
        hostile=SHARED,
        redirect_path="callback",
        registered=("callback", "callback/honest"),
        promises=True,
        page_text="You are not signed in",
    ),
    "the same, and the honest one names itself": AttackVariant(
        honest=OWN,
        hostile=SHARED,
        redirect_path="callback",
        registered=("callback", "callback/honest"),
        honest_sends_iss=True,
        promises=True,
        page_text="You are not signed in",
    ),
    "the honest one alone shares": AttackVariant(
        honest=SHARED,
        hostile=OWN,
        redirect_path="callback",
        registered=("callback",),
        promises=True,
    ),
    "both share and name themselves": AttackVariant(
        honest=SHARED,
        hostile=SHARED,
        redirect_path="callback",
        registered=("callback",),
        honest_sends_iss=True,
        promises=True,
        page_text="You are not signed in",
    ),
    "both share and name themselves, and posted": AttackVariant(
        honest=SHARED | POSTED,
        hostile=SHARED | POSTED,
        redirect_path="callback",
        registered=("callback",),
        honest_sends_iss=True,
        promises=True,
        page_text="You are not signed in",
    ),
    "both share, and iss is configured but not sent": AttackVariant(
        honest=REQUIRED,
        hostile=REQUIRED,
        redirect_path="callback",
        registered=("callback",),
        page_text="You are not signed in",
    ),
}


@dataclass(kw_only=True)
class MixUpFixture:
    fixture: SignInFixture
    honest: StrictProvider
    hostile: StrictProvider
    host: str
    browsers: list[Browser] = field(default_factory=list)

    async def authorization_request(
        self, browser: Browser, provider: StrictProvider
    ) -> dict[str, str]:
        """Begin a sign-in and choose a provider; what it is asked for."""
        reply = await self.choose_provider(browser, provider)
        location = reply.headers["location"]
        assert location.startswith(f"{provider.issuer}/authorize?"), reply.text
        return dict(parse_qsl(urlsplit(location).query))

    async def choose_provider(self, browser: Browser, provider: StrictProvider) -> httpx2.Response:
        chooser = await browser.visit(start_url(APP, "/x"))
        links = [link for link in page(chooser).links if "choice=" in link]
        return await browser.get(links[(self.honest, self.hostile).index(provider)])

    async def signed_in_providers(self, browser: Browser) -> set[str]:
        """The providers that this browser has a session of, on any host."""
        return {
            name
            for name in self.fixture.providers
            for host in (AUTH, APP)
            if await self.fixture.find_session(browser, host, name) is not None
        }


@pytest.fixture
def honest() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-the-honest-one") as provider:
        yield provider


@pytest.fixture
def hostile() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-the-hostile-one") as provider:
        yield provider


@asynccontextmanager
async def running_mix_up(
    honest: StrictProvider,
    hostile: StrictProvider,
    *,
    auth_host: str | None,
    settings: tuple[Settings, Settings] = (OWN, OWN),
) -> AsyncIterator[MixUpFixture]:
    """Both providers serve one route. The hostile one has chosen the client id of the other."""
    providers = {
        name: {"issuer": each.issuer, "client_secret": each.client_secret, **more}
        for name, each, more in zip(("honest", "hostile"), (honest, hostile), settings, strict=True)
    }
    async with running_sign_in(
        honest.issuer,
        auth_host=auth_host,
        providers=providers,
        routes=({"from": APP, "identity_provider": ["honest", "hostile"]},),
    ) as fixture:
        yield MixUpFixture(fixture=fixture, honest=honest, hostile=hostile, host=auth_host or APP)


async def run_attack(
    variant: AttackVariant, mix_up: MixUpFixture
) -> tuple[httpx2.Response, Browser, Browser]:
    """The page that the victim ends on, and the browsers of victim and attacker."""
    honest, hostile, host = mix_up.honest, mix_up.hostile, mix_up.host
    base = f"{host}/.auth"
    honest.registered = frozenset(f"{base}/{path}" for path in variant.registered)
    honest.sends_iss = variant.honest_sends_iss
    for provider in (honest, hostile):
        provider.offers(promises_iss=variant.promises)
    victim, attacker = mix_up.fixture.browser(), mix_up.fixture.browser()
    attacker_request = await mix_up.authorization_request(attacker, honest)
    stolen = {name: attacker_request[name] for name in ("nonce", "code_challenge")}
    hostile.leads_to = lambda request: honest.authorization_url(
        {**request, **stolen, "redirect_uri": f"{base}/{variant.redirect_path}"}
    )
    begun = await mix_up.choose_provider(victim, hostile)
    last = await victim.follow(begun, user="victim", stop=is_app_url)
    for code in hostile.received:
        answer = urlencode({"code": code, "state": attacker_request["state"]})
        await attacker.visit(f"{attacker_request['redirect_uri']}?{answer}", stop=is_app_url)
    return last, victim, attacker


@WHERE
@pytest.mark.parametrize("form", ATTACK_VARIANTS.values(), ids=ATTACK_VARIANTS)
async def test_no_code_of_one_provider_comes_to_another(
    honest: StrictProvider, hostile: StrictProvider, form: AttackVariant, auth_host: str | None
) -> None:
    settings = (form.honest, form.hostile)
    async with running_mix_up(honest, hostile, auth_host=auth_host, settings=settings) as playing:
        last, victim, attacker = await run_attack(form, playing)
        async with victim, attacker:
            assert hostile.received == []
            assert honest.received == []
            assert await playing.signed_in_providers(victim) == set()
            assert await playing.signed_in_providers(attacker) == set()
            assert last.status_code == form.status, last.text
            assert form.page_text in last.text


@WHERE
@pytest.mark.parametrize("posted", [{}, POSTED], ids=["query", "form_post"])
@pytest.mark.parametrize(
    ("settings", "iss"),
    [
        pytest.param((OWN, OWN), False, id="own"),
        pytest.param((SHARED, OWN), True, id="shared and own"),
        pytest.param((SHARED, SHARED), True, id="shared"),
        pytest.param((REQUIRED, REQUIRED), True, id="shared, by setting"),
    ],
)
async def test_people_sign_in_with_either(
    honest: StrictProvider,
    hostile: StrictProvider,
    auth_host: str | None,
    settings: tuple[Settings, Settings],
    posted: Settings,
    *,
    iss: bool,
) -> None:
    """Where nobody attacks, what refuses an attack does not refuse people."""
    both = (settings[0] | posted, settings[1] | posted)
    for provider, own in ((honest, both[0]), (hostile, both[1])):
        provider.sends_iss = iss
        provider.offers(promises_iss=iss and own.get("authorization_response_iss") is None)
    async with running_mix_up(honest, hostile, auth_host=auth_host, settings=both) as playing:
        for name, provider, own in zip(("honest", "hostile"), (honest, hostile), both, strict=True):
            path = "callback" if own["callback"] == "shared" else f"callback/{name}"
            provider.registered = frozenset({f"{playing.host}/.auth/{path}"})
            async with playing.fixture.browser() as browser:
                begun = await playing.choose_provider(browser, provider)
                last = await browser.follow(begun, user="alice", stop=is_app_url)
                assert last.headers["location"] == f"{APP}/x"
                assert await playing.signed_in_providers(browser) == {name}
                assert len(provider.received) == 1


async def test_a_refused_answer_uses_its_attempt_up(
    honest: StrictProvider, hostile: StrictProvider
) -> None:
    async with (
        running_mix_up(honest, hostile, auth_host=None) as playing,
        playing.fixture.browser() as browser,
    ):
        asked = await playing.authorization_request(browser, hostile)
        query = urlencode({"code": "c", "state": asked["state"]})
        refused = await browser.get(f"{APP}/.auth/callback/honest?{query}")
        assert refused.status_code == 403
        assert any("-flow-" in name for name in cleared_cookies(refused))
        assert restart_link(refused).endswith("rd=https%3A%2F%2Fapp.example.com%2Fx&attempt=2")
        late = await browser.get(f"{asked['redirect_uri']}?{query}")
        assert late.status_code == 400
        assert hostile.received == []


async def test_a_state_that_is_not_right_uses_nothing_up(
    honest: StrictProvider, hostile: StrictProvider
) -> None:
    async with (
        running_mix_up(honest, hostile, auth_host=None) as playing,
        playing.fixture.browser() as browser,
    ):
        asked = await playing.authorization_request(browser, hostile)
        state = asked["state"][:-1] + ("A" if asked["state"][-1] != "A" else "B")
        query = urlencode({"code": "c", "state": state})
        assert (await browser.get(f"{APP}/.auth/callback/honest?{query}")).status_code == 400
        hostile.registered = frozenset({asked["redirect_uri"]})
        last = await browser.visit(hostile.authorization_url(asked), stop=is_app_url)
        assert last.headers["location"] == f"{APP}/x"


@pytest.mark.parametrize("name", ["corp", "nobody", "flow", "%2e%2e", "a/b"])
async def test_a_callback_of_nobody_says_nothing_of_who_there_is(
    honest: StrictProvider, hostile: StrictProvider, name: str
) -> None:
    async with (
        running_mix_up(honest, hostile, auth_host=None) as playing,
        playing.fixture.browser() as browser,
    ):
        asked = await playing.authorization_request(browser, hostile)
        query = urlencode({"code": "c", "state": asked["state"]})
        reply = await browser.get(f"{APP}/.auth/callback/{name}?{query}")
        assert reply.status_code in {403, 404}
        assert "honest" not in reply.text
        assert hostile.received == []


@pytest.mark.parametrize("error", ["access_denied", "server_error", "invalid_scope"])
async def test_an_error_counts_only_at_the_uri_of_its_attempt(
    honest: StrictProvider, hostile: StrictProvider, error: str
) -> None:
    async with (
        running_mix_up(honest, hostile, auth_host=None) as playing,
        playing.fixture.browser() as browser,
    ):
        asked = await playing.authorization_request(browser, hostile)
        query = urlencode({"error": error, "state": asked["state"]})
        reply = await browser.get(f"{APP}/.auth/callback/honest?{query}")
        assert reply.status_code == 403
        assert "came to the address of another provider" in reply.text


# A hostile provider may also describe itself with endpoints of another (RFC 9700 section 4.4.1).


async def test_the_authorization_endpoint_of_another(
    honest: StrictProvider, hostile: StrictProvider
) -> None:
    hostile.offers(authorization_endpoint=f"{honest.issuer}/authorize")
    honest.registered = frozenset({f"{APP}/.auth/callback/honest"})
    async with (
        running_mix_up(honest, hostile, auth_host=None) as playing,
        playing.fixture.browser() as browser,
    ):
        begun = await playing.choose_provider(browser, hostile)
        assert begun.headers["location"].startswith(f"{honest.issuer}/authorize?")
        last = await browser.follow(begun, user="victim", stop=is_app_url)
        assert last.status_code == 400, "the honest provider does not know this redirect URI"
        assert honest.codes == {}
        assert hostile.received == []


async def test_the_authorization_endpoint_of_another_that_names_itself_at_a_shared_uri(
    honest: StrictProvider, hostile: StrictProvider
) -> None:
    honest.sends_iss = True
    honest.offers(promises_iss=True)
    hostile.offers(promises_iss=True, authorization_endpoint=f"{honest.issuer}/authorize")
    async with (
        running_mix_up(honest, hostile, auth_host=None, settings=(SHARED, SHARED)) as playing,
        playing.fixture.browser() as browser,
    ):
        begun = await playing.choose_provider(browser, hostile)
        last = await browser.follow(begun, user="victim", stop=is_app_url)
        assert last.status_code == 403
        assert len(honest.codes) == 1
        assert hostile.received == []


async def test_token_endpoint_and_keys_of_another(
    honest: StrictProvider, hostile: StrictProvider
) -> None:
    """The honest provider's tokens are no tokens of the hostile one, whoever hands out the code."""
    hostile.offers(token_endpoint=f"{honest.issuer}/token", jwks_uri=f"{honest.issuer}/jwks")
    honest.client_secret = hostile.client_secret
    async with (
        running_mix_up(honest, hostile, auth_host=None) as playing,
        playing.fixture.browser() as browser,
    ):
        asked = await playing.authorization_request(browser, hostile)
        honest.codes["c"] = asked
        query = urlencode({"code": "c", "state": asked["state"]})
        reply = await browser.get(f"{asked['redirect_uri']}?{query}")
        assert honest.received == ["c"]
        assert reply.status_code == 403
        assert await playing.signed_in_providers(browser) == set()


# Several providers of one issuer are one authorization server: nothing to mix up, and no mistake.


async def test_two_clients_of_one_issuer(honest: StrictProvider) -> None:
    providers = {
        name: {"issuer": honest.issuer, "client_secret": honest.client_secret, **OWN}
        for name in ("staff", "admins")
    }
    routes = ({"from": APP, "identity_provider": ["staff", "admins"]},)
    async with (
        running_sign_in(
            honest.issuer, auth_host=None, providers=providers, routes=routes
        ) as fixture,
        fixture.browser() as browser,
    ):
        chooser = await browser.visit(start_url(APP, "/x"))
        [_, admins] = [link for link in page(chooser).links if "choice=" in link]
        asked = dict(parse_qsl(urlsplit((await browser.get(admins)).headers["location"]).query))
        assert asked["redirect_uri"] == f"{APP}/.auth/callback/admins"
        honest.codes["c"] = asked
        query = urlencode({"code": "c", "state": asked["state"], "iss": honest.issuer})
        assert (await browser.get(f"{APP}/.auth/callback/staff?{query}")).status_code == 403
        assert honest.received == []
        assert await fixture.find_session(browser, APP, "staff") is None
        assert await fixture.find_session(browser, APP, "admins") is None
