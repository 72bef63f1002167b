"""Sign-in on one host, through the web application, with real providers and one that lies."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from authz_sidecar.login.transactions import MAX_AGE_SECONDS
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.factory import open_store
from tests.login.dishonest_provider import TamperedProvider
from tests.servers.browser import page
from tests.servers.hostile_provider import HostileProvider, document
from tests.servers.providers import FORM_POST_CLIENT_ID, RunningProvider
from tests.support.sign_in import ADMIN, APP, WIKI, SignInFixture, running_sign_in
from tests.support.sign_in_steps import (
    DEEP_LINK,
    TWO_PROVIDERS,
    cleared_cookies,
    is_app_url,
    requested_nonce,
    requested_state,
    restart_link,
    set_cookies,
    sign_in,
    start_url,
)


@pytest.mark.parametrize("rd", [DEEP_LINK, f"{APP}{DEEP_LINK}"])
async def test_the_whole_address_is_restored(real_provider: RunningProvider, rd: str) -> None:
    async with (
        running_sign_in(real_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        assert await sign_in(browser, rd=rd) == f"{APP}{DEEP_LINK}"
        session = await fixture.find_session(browser, APP)
        assert session is not None
        assert session.identity.email == "alice@example.com"
        assert session.identity.groups in {("admins", "staff"), ()}
        assert session.scope == APP
        assert await fixture.find_session(browser, ADMIN) is None


async def test_what_the_provider_is_asked(certified_provider: RunningProvider) -> None:
    async with (
        running_sign_in(certified_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        secret = f"{APP}/reset?token=s3cret"
        asked = await browser.get(start_url(APP, secret, prompt="none", max_age="0", acr="x"))
        query = {name: values[0] for name, values in parse_qs(asked.headers["location"]).items()}
        assert query["code_challenge_method"] == "S256"
        assert re.fullmatch(r"[\w-]{43}", query["code_challenge"])
        assert len(query["nonce"]) == 43
        assert query["redirect_uri"] == f"{APP}/.auth/callback/corp"
        assert "s3cret" not in asked.headers["location"]
        assert not {"prompt", "max_age", "acr", "acr_values", "response_mode"} & query.keys()
        [cookie] = set_cookies(asked)
        assert re.fullmatch(
            r"__Host-authz-flow-\w{8}[\w-]{8}=[\w-]+; Path=/; Max-Age=600; HttpOnly;"
            r" SameSite=Lax; Secure",
            cookie,
        )


async def test_the_session_cookie(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        last = await browser.visit(start_url(APP, "/"), user="alice", stop=is_app_url)
        [cookie] = [line for line in set_cookies(last) if line.startswith("__Host-authz=")]
        assert re.fullmatch(r"__Host-authz=[\w-]{43}; .*", cookie)
        for attribute in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age="):
            assert attribute in cookie
        assert "Domain" not in cookie
        assert [name for name in cleared_cookies(last) if "-flow-" in name]
        assert last.headers["cache-control"] == "no-store"
        assert last.headers["referrer-policy"] == "no-referrer"


async def test_two_tabs_sign_in_side_by_side(real_provider: RunningProvider) -> None:
    async with (
        running_sign_in(real_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        first = await browser.get(start_url(APP, "/one"))
        second = await browser.get(start_url(APP, "/two"))
        ends = [
            (await browser.follow(tab, user="alice", stop=is_app_url)).headers["location"]
            for tab in (second, first)
        ]
        assert ends == [f"{APP}/two", f"{APP}/one"]
        assert await fixture.find_session(browser, APP) is not None


async def test_form_post(certified_provider: RunningProvider) -> None:
    by_post = {
        "response_mode": "form_post",
        "client_id": FORM_POST_CLIENT_ID,
        "client_authentication": "client_secret_post",
    }
    async with (
        running_sign_in(
            certified_provider.issuer, auth_host=None, providers={"corp": by_post}
        ) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, DEEP_LINK))
        assert "response_mode=form_post" in asked.headers["location"]
        assert "SameSite=None; Secure" in set_cookies(asked)[0]
        last = await browser.follow(asked, user="alice", stop=is_app_url)
        assert last.headers["location"] == f"{APP}{DEEP_LINK}"
        assert last.request.method == "POST"
        assert await fixture.find_session(browser, APP) is not None


async def test_one_cookie_for_a_domain(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(
            mock_provider.issuer, auth_host=None, cookie_domain="example.com"
        ) as fixture,
        fixture.browser() as browser,
    ):
        last = await browser.visit(start_url(APP, "/x"), user="alice", stop=is_app_url)
        assert "Domain=example.com" in "".join(set_cookies(last))
        token = browser.cookies(".example.com")["__Secure-authz"]
        session = await fixture.find_session_by_token(
            token, fixture.context.auth_host or _origin(ADMIN)
        )
        assert session is not None
        assert session.scope == ".example.com"
        # The other hosts need no sign-in of their own; one outside the domain does.
        assert (await browser.get(start_url(ADMIN, "/y"))).headers["location"] == f"{ADMIN}/y"
        assert "localhost" in (await browser.get(start_url(WIKI, "/z"))).headers["location"]


async def test_one_cookie_for_a_domain_with_a_central_host(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, cookie_domain="example.com") as fixture,
        fixture.browser() as browser,
    ):
        assert await sign_in(browser, APP, "/x?y=1") == f"{APP}/x?y=1"
        assert not any("ticket=" in url for url in browser.visited)
        assert "__Secure-authz" in browser.cookies(".example.com")
        # A host under another apex domain is handed over to.
        assert await sign_in(browser, WIKI, "/z") == f"{WIKI}/z"
        assert await fixture.find_session(browser, WIKI) is not None


def _origin(text: str) -> Any:
    from authz_sidecar.core.urls import parse_origin

    return parse_origin(text)


async def test_a_new_id_at_every_sign_in_and_the_old_one_is_ended(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        before = browser.cookies("app.example.com")["__Host-authz"]
        last = await browser.visit(start_url(APP, "/", switch="1"), user="bob", stop=is_app_url)
        assert last.headers["location"] == f"{APP}/"
        after = browser.cookies("app.example.com")["__Host-authz"]
        assert before != after
        assert await fixture.find_session_by_token(before, _origin(APP)) is None
        session = await fixture.find_session(browser, APP)
        assert session is not None
        assert session.identity.subject == "bob"


async def test_an_id_from_outside_is_never_adopted(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        planted = "A" * 43
        browser.client.cookies.set("__Host-authz", planted, domain="app.example.com")
        await sign_in(browser)
        assert planted not in browser.cookies("app.example.com").values()
        assert await fixture.find_session_by_token(planted, _origin(APP)) is None


async def test_who_is_signed_in_already_goes_straight_back(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        assert (await browser.get(start_url(APP, "/x"))).headers["location"] == f"{APP}/x"
        switched = await browser.get(start_url(APP, "/x", switch="1"))
        assert "prompt=login" in switched.headers["location"]
        assert await fixture.find_session(browser, APP) is not None


async def test_a_long_address_keeps_its_path_and_says_so(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        last = await browser.visit(
            start_url(APP, "/report?" + "q" * 3000), user="alice", stop=is_app_url
        )
        assert last.status_code == 200
        assert f'href="{APP}/report"' in last.text
        assert "too long" in last.text
        assert await fixture.find_session(browser, APP) is not None


# What must not succeed


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda q: q.replace("state=", "state=x"), id="another state"),
        pytest.param(lambda q: re.sub(r"state=[^&]*", "state=", q), id="empty state"),
        pytest.param(lambda q: re.sub(r"&?state=[^&]*", "", q), id="no state"),
        pytest.param(lambda q: q + "&state=x", id="two states"),
        pytest.param(lambda q: q + "&code=x", id="two codes"),
        pytest.param(lambda q: re.sub(r"(state=[^&]*)", r"\1A", q), id="a longer state"),
        pytest.param(lambda q: re.sub(r"(state=[^&]*)[^&]", r"\1~", q), id="last letter"),
    ],
)
async def test_another_state_costs_the_provider_nothing(
    hostile_provider: HostileProvider, spoil: Any
) -> None:
    TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        state = await requested_state(await browser.get(start_url(APP, "/")))
        query = spoil(f"code=c&state={state}")
        reply = await browser.get(f"{APP}/.auth/callback/corp?{query}")
        assert reply.status_code == 400
        assert not hostile_provider.asked_for("/token")
        assert not browser.cookies("app.example.com").get("__Host-authz")
        assert await fixture.find_session(browser, APP) is None


async def test_another_browser_cannot_finish(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as victim,
    ):
        async with fixture.browser() as attacker:
            state = await requested_state(await attacker.get(start_url(APP, "/")))
        await victim.get(start_url(APP, "/"))
        reply = await victim.get(f"{APP}/.auth/callback/corp?code=c&state={state}")
        assert reply.status_code == 400
        assert not hostile_provider.asked_for("/token")


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"nonce": "another"}, id="another nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"aud": "another"}, id="another audience"),
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"sub": "mallory"}, id="userinfo of another user"),
        pytest.param({"sub": ""}, id="nobody"),
        pytest.param({"exp": 1}, id="expired"),
    ],
)
async def test_a_wrong_id_token_signs_nobody_in(
    hostile_provider: HostileProvider, claims: dict[str, object]
) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/x"))
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(**{"nonce": await requested_nonce(asked), **claims})
        )
        reply = await browser.get(
            f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        )
        assert reply.status_code == 403
        assert cleared_cookies(reply)
        assert "__Host-authz" not in browser.cookies("app.example.com")
        assert "evil" not in reply.text
        assert restart_link(reply).endswith("attempt=2")


@pytest.mark.parametrize(
    ("iss", "status"),
    [
        pytest.param("", 403, id="promised and absent"),
        pytest.param("&iss=https%3A%2F%2Fidp-b.example", 403, id="of another provider"),
        pytest.param("&iss=", 403, id="empty"),
        pytest.param("&iss={issuer}&iss={issuer}", 400, id="twice"),
        pytest.param("&iss={issuer}", 303, id="right"),
    ],
)
async def test_the_issuer_of_the_answer(
    hostile_provider: HostileProvider, iss: str, status: int
) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    hostile_provider.offers(authorization_response_iss_parameter_supported=True)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/"))
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked))
        )
        suffix = iss.format(issuer=quote(hostile_provider.issuer, safe=""))
        reply = await browser.get(
            f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}{suffix}"
        )
        assert reply.status_code == status
        assert hostile_provider.asked_for("/token") == (status == 303)


async def test_a_callback_is_good_once(hostile_provider: HostileProvider) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/x"))
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked))
        )
        callback = f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        kept = dict(browser.cookies("app.example.com"))
        assert (await browser.get(callback)).headers["location"] == f"{APP}/x"
        # The browser has given its cookie back: pressing "back" leads home.
        again = await browser.get(callback)
        assert (again.status_code, again.headers["location"]) == (303, f"{APP}/")
        # Somebody kept the cookie and the whole address, and the provider takes codes twice.
        async with fixture.browser() as thief:
            for name, value in kept.items():
                thief.client.cookies.set(name, value, domain="app.example.com")
            reply = await thief.get(callback)
            assert reply.status_code == 400
            assert "__Host-authz" not in thief.cookies("app.example.com")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        pytest.param("access_denied", 403, "cancelled", id="denied"),
        pytest.param("invalid_scope", 403, "could not be completed", id="misconfigured"),
        pytest.param("temporarily_unavailable", 503, "", id="in trouble"),
        pytest.param("<script>x</script>", 403, "could not be completed", id="hostile"),
    ],
)
async def test_an_error_is_a_page(
    hostile_provider: HostileProvider, error: str, status: int, words: str
) -> None:
    TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        state = await requested_state(await browser.get(start_url(APP, "/x")))
        query = f"error={quote(error)}&error_description=%3Cb%3Ehi&state={state}"
        reply = await browser.get(f"{APP}/.auth/callback/corp?{query}")
        assert reply.status_code == status
        assert words in reply.text
        assert "<script" not in reply.text
        assert "<b>hi" not in reply.text
        assert cleared_cookies(reply)
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert not hostile_provider.asked_for("/token")


@pytest.mark.parametrize(("error", "status"), [("access_denied", 403), ("server_error", 503)])
async def test_an_error_by_post_is_a_page(
    hostile_provider: HostileProvider, error: str, status: int
) -> None:
    TamperedProvider(hostile_provider)
    by_post = {"corp": {"response_mode": "form_post"}}
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None, providers=by_post) as fixture,
        fixture.browser() as browser,
    ):
        form = {
            "error": error,
            "state": await requested_state(await browser.get(start_url(APP, "/x"))),
        }
        reply = await browser.request("POST", f"{APP}/.auth/callback/corp", data=form)
        assert reply.status_code == status
        assert cleared_cookies(reply)
        assert not hostile_provider.asked_for("/token")
        assert await fixture.find_session(browser, APP) is None


async def test_saying_no_at_the_provider(certified_provider: RunningProvider) -> None:
    async with (
        running_sign_in(certified_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        form = await browser.visit(start_url(APP, "/"))
        last = await browser.follow(await browser.submit(form, {"deny": "1"}))
        assert last.status_code == 403
        assert "cancelled" in last.text


async def test_a_code_by_post_where_a_query_was_asked_for(
    hostile_provider: HostileProvider,
) -> None:
    TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        state = await requested_state(await browser.get(start_url(APP, "/")))
        reply = await browser.request(
            "POST", f"{APP}/.auth/callback/corp", data={"code": "c", "state": state}
        )
        assert reply.status_code == 403
        assert not hostile_provider.asked_for("/token")


async def test_a_lost_attempt_can_be_begun_again_but_not_for_ever(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        url = start_url(APP, "/x")
        for number in (1, 2, 3):
            callback = await browser.visit(
                url, user="alice", stop=lambda to: "/.auth/callback" in to
            )
            browser.client.cookies.clear()
            lost = await browser.get(callback.headers["location"])
            assert lost.status_code == 400
            url = restart_link(lost)
            assert f"attempt={number + 1}" in url
        tired = await browser.get(url)
        assert tired.status_code == 400
        assert "cookies" in tired.text


async def test_a_late_answer_keeps_the_return_address(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        state = await requested_state(await browser.get(start_url(APP, "/x?y=1")))
        fixture.clock.offset = MAX_AGE_SECONDS + 1
        reply = await browser.get(f"{APP}/.auth/callback/corp?code=c&state={state}")
        assert reply.status_code == 400
        assert quote(f"{APP}/x?y=1", safe="") in restart_link(reply)
        assert not hostile_provider.asked_for("/token")


async def test_a_host_that_is_no_longer_ours(hostile_provider: HostileProvider) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(
            hostile_provider.issuer, auth_host=None, cookie_domain="example.com"
        ) as before,
        before.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, f"{ADMIN}/secret"))
        cookies = dict(browser.cookies("app.example.com"))
    tampered_provider.set_token_response(
        id_token=tampered_provider.id_token(nonce=await requested_nonce(asked))
    )
    async with (
        running_sign_in(
            hostile_provider.issuer,
            auth_host=None,
            cookie_domain="example.com",
            routes=({"from": APP},),
        ) as after,
        after.browser() as browser,
    ):
        for name, value in cookies.items():
            browser.client.cookies.set(name, value, domain="app.example.com")
        reply = await browser.get(
            f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        )
        assert reply.headers["location"] == f"{APP}/"


async def test_another_instance_is_named_as_the_cause(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None, instance="one") as one,
        one.browser() as browser,
    ):
        state = await requested_state(await browser.get(start_url(APP, "/x")))
        cookies = dict(browser.cookies("app.example.com"))
    async with running_sign_in(hostile_provider.issuer, auth_host=None, instance="two") as two:
        for kept in (cookies, {}):
            async with two.browser() as browser:
                for name, value in kept.items():
                    browser.client.cookies.set(name, value, domain="app.example.com")
                reply = await browser.get(f"{APP}/.auth/callback/corp?code=c&state={state}")
                assert reply.status_code == 400
                assert "memory://" in reply.text
    assert not hostile_provider.asked_for("/token")


async def test_a_loop_ends_with_a_page(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        for _ in range(3):
            await sign_in(browser)
            browser.client.cookies.delete("__Host-authz", domain="app.example.com", path="/")
        tired = await browser.get(start_url(APP, "/"))
        assert tired.status_code == 400
        assert "location" not in tired.headers
        fixture.clock.offset = 61
        assert (await browser.get(start_url(APP, "/"))).status_code == 303


async def test_the_loop_page_without_any_cookie(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        reply = await browser.get("https://auth.example.com/.auth/start?rd=/&attempt=4")
        assert reply.status_code == 400
        assert "text/html" in reply.headers["content-type"]
        assert set_cookies(reply) == []


# Strict cookies


async def test_strict_cookies_are_followed_by_a_page(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None, same_site="strict") as fixture,
        fixture.browser() as browser,
    ):
        first = await browser.get(start_url(APP, "/x"), **{"sec-fetch-site": "cross-site"})
        assert first.status_code == 200
        onward = page(first).refresh
        assert onward is not None
        last = await browser.follow(
            await browser.get(onward, **{"sec-fetch-site": "same-origin"}),
            user="alice",
            stop=is_app_url,
        )
        assert last.status_code == 200
        assert page(last).refresh == f"{APP}/x"
        assert "SameSite=Strict" in "".join(set_cookies(last))
        assert await fixture.find_session(browser, APP) is not None


# Several providers


async def test_a_chooser_where_a_route_has_several(real_provider: RunningProvider) -> None:
    both = tuple({"from": host, "identity_provider": ["corp", "partners"]} for host in (APP, WIKI))
    async with (
        running_sign_in(
            real_provider.issuer,
            auth_host=None,
            providers=TWO_PROVIDERS,
            default_provider="corp",
            routes=both,
        ) as fixture,
        fixture.browser() as browser,
    ):
        chooser = await browser.visit(start_url(APP, "/x"))
        assert chooser.status_code == 200
        options = [link for link in page(chooser).links if "choice=" in link]
        assert len(options) == 2
        last = await browser.visit(options[1], user="alice", stop=is_app_url)
        assert last.headers["location"] == f"{APP}/x"
        assert await fixture.find_session(browser, APP, "partners") is not None
        assert await fixture.find_session(browser, APP, "corp") is None
        assert "__Host-authz-partners" in browser.cookies("app.example.com")


@pytest.mark.parametrize("query", ["provider=partners", "identity_provider=partners", "idp=x"])
async def test_a_provider_is_never_taken_from_the_query(
    mock_provider: RunningProvider, query: str
) -> None:
    providers = {"corp": {}, "partners": {"client_id": "another"}}
    async with (
        running_sign_in(
            mock_provider.issuer, auth_host=None, providers=providers, default_provider="corp"
        ) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(f"{start_url(APP, '/')}&{query}")
        assert "client_id=authz&" in asked.headers["location"]


async def test_a_chooser_shows_what_people_know_them_by(hostile_provider: HostileProvider) -> None:
    providers: dict[str, dict[str, Any]] = {
        "g": {"label": "Google"}, "a": {"label": "Staff"}, "b": {"label": "Staff"}, "corp": {},
    }  # fmt: skip
    routes = ({"from": APP, "identity_provider": list(providers)},)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None, providers=providers, routes=routes,
              default_provider="g") as fixture,
        fixture.browser() as browser,
    ):  # fmt: skip
        chooser = await browser.follow(await browser.get(start_url(APP, "/")))
        for label in ("Google", "Staff (a)", "Staff (b)", "corp"):
            assert f">{label}</a>" in chooser.text


async def test_a_pushed_request_that_is_refused_has_a_page(
    hostile_provider: HostileProvider,
) -> None:
    hostile_provider.offers(pushed_authorization_request_endpoint=f"{hostile_provider.issuer}/par")
    hostile_provider.answers["/par"] = document({"error": "invalid_scope"}, 400)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        reply = await browser.get(start_url(APP, "/x"))
        assert reply.status_code == 403
        assert "invalid_scope" not in reply.text
        assert set_cookies(reply) == []


async def test_a_choice_is_sealed(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        for choice in ("x", "", "A" * 100):
            reply = await browser.get(f"{APP}/.auth/start?choice={choice}")
            assert reply.status_code == 400


async def test_a_third_party_may_begin(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        given = {
            "iss": mock_provider.issuer,
            "login_hint": "alice",
            "target_link_uri": f"{APP}/x?y=1",
        }
        for method in ("GET", "POST"):
            where = {"params": given} if method == "GET" else {"data": given}
            asked = await browser.request(method, f"{APP}/.auth/start", **where)
            assert "login_hint=alice" in asked.headers["location"]
            last = await browser.follow(asked, user="alice", stop=is_app_url)
            assert last.headers["location"] == f"{APP}/x?y=1"
            browser.client.cookies.clear()
        given["iss"] = "https://evil.example"
        refused = await browser.request("GET", f"{APP}/.auth/start", params=given)
        assert refused.status_code == 403


# Trouble of others


async def test_a_provider_that_is_down_has_a_page() -> None:
    async with (
        running_sign_in("http://localhost:9", auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        reply = await browser.get(start_url(APP, "/x"))
        assert reply.status_code == 503
        assert "corp" in reply.text
        assert restart_link(reply) == start_url(APP, f"{APP}/x")
        assert set_cookies(reply) == []
        assert reply.headers["cache-control"] == "no-store"


async def test_a_provider_that_goes_down_in_between(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    hostile_provider.answers["/token"] = document({}, 502)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        state = await requested_state(await browser.get(start_url(APP, "/x")))
        reply = await browser.get(f"{APP}/.auth/callback/corp?code=c&state={state}")
        assert reply.status_code == 503
        assert "attempt=2" in restart_link(reply)


async def test_a_store_that_is_down_has_a_page_and_nobody_gets_in(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        out_of_reach = open_store("redis://127.0.0.1:9/0")
        down = SignInFixture(issuer=mock_provider.issuer, auth_host=None)
        object.__setattr__(
            down.context,
            "sessions",
            SessionService(store=out_of_reach, secret_keys=down.keys, lifetime=60, idle_timeout=60),
        )
        async with down.browser() as other:
            token = browser.cookies("app.example.com")["__Host-authz"]
            other.client.cookies.set("__Host-authz", token, domain="app.example.com")
            for path in ("start?rd=/", "sign_out", "userinfo", ""):
                reply = await other.get(f"{APP}/.auth/{path}")
                assert reply.status_code == 503, path
                assert not cleared_cookies(reply)
            other.client.cookies.clear()
            last = await other.visit(start_url(APP, "/x"), user="alice", stop=is_app_url)
            assert last.status_code == 503
            assert "__Host-authz" not in other.cookies("app.example.com")
        await down.aclose()


async def test_nothing_secret_is_logged(
    certified_provider: RunningProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="authz_sidecar")
    async with (
        running_sign_in(certified_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        callback = await browser.visit(
            start_url(APP, "/"), user="alice", stop=lambda to: "/.auth/callback" in to
        )
        cookies = list(browser.cookies("app.example.com").values())
        await browser.follow(callback, user="alice", stop=is_app_url)
        query = parse_qs(urlsplit(callback.headers["location"]).query)
        await browser.get(callback.headers["location"])
        secret = [query["code"][0], query["state"][0], *cookies]
        secret += browser.cookies("app.example.com").values()
    text = caplog.text
    assert text
    assert not [value for value in secret if value in text]
