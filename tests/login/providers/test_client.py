"""The provider client against two real providers, and against one that does not behave."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.login.providers import (
    AuthenticationResult,
    OIDCClient,
    ProviderSettings,
    TLSContext,
)
from authz_sidecar.oidc.http_client import MAX_RESPONSE_BYTES
from tests.login.dishonest_provider import TamperedProvider
from tests.servers.browser import Browser
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.servers.providers import (
    CLIENT_ID,
    CLIENT_SECRET,
    FORM_POST_CLIENT_ID,
    PUBLIC_CLIENT_ID,
    RunningProvider,
)
from tests.support import signed_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CALLBACK = "https://app.example.com/.auth/callback"
VERIFIER = "v" * 43


@asynccontextmanager
async def client_of(issuer: str, **settings: Any) -> AsyncIterator[OIDCClient]:
    given = {"name": "corp", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | settings
    provider = OIDCClient(ProviderSettings(issuer=issuer, **given), clock=time.time)
    try:
        yield provider
    finally:
        await provider.aclose()


async def code_for(provider: OIDCClient, user: str, *, nonce: str = "n") -> dict[str, str]:
    """Sign in with a browser; the parameters that come back to the callback."""
    async with Browser({}) as browser:
        url = await provider.authorization_url(
            state="s", nonce=nonce, verifier=VERIFIER, redirect_uri=CALLBACK
        )
        last = await browser.visit(url, user=user, stop=lambda to: to.startswith(CALLBACK))
        return dict(parse_qsl(urlsplit(last.headers["location"]).query))


async def sign_in(provider: OIDCClient, user: str = "alice") -> AuthenticationResult:
    answer = await code_for(provider, user)
    return await provider.redeem(
        code=answer["code"], verifier=VERIFIER, nonce="n", redirect_uri=CALLBACK
    )


def scopes_of(real: RunningProvider) -> tuple[str, ...]:
    """The mock gives groups without being asked, and knows no such scope."""
    groups = () if "oidc_provider_mock" in " ".join(real.command) else ("groups",)
    return ("openid", "profile", "email", *groups)


async def test_a_sign_in_gives_an_identity(real_provider: RunningProvider) -> None:
    async with client_of(real_provider.issuer, scopes=scopes_of(real_provider)) as provider:
        signed_in = await sign_in(provider)
    identity = signed_in.identity
    assert (identity.issuer, identity.subject) == (real_provider.issuer, "alice")
    assert (identity.email, identity.name) == ("alice@example.com", "Alice Adams")
    assert identity.groups == ("admins", "staff")
    assert signed_in.id_token
    assert signed_in.access_token
    assert signed_in.expires_at is not None
    assert CLIENT_SECRET not in repr(provider.settings)
    assert signed_in.access_token not in repr(signed_in)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="client_secret_basic"),
        pytest.param(
            {
                "client_id": FORM_POST_CLIENT_ID,
                "client_authentication": "client_secret_post",
            },
            id="client_secret_post",
        ),
        pytest.param({"client_id": PUBLIC_CLIENT_ID, "client_secret": None}, id="public client"),
    ],
)
async def test_each_way_to_authenticate(
    certified_provider: RunningProvider, settings: dict[str, Any]
) -> None:
    async with client_of(certified_provider.issuer, **settings) as provider:
        assert (await sign_in(provider)).identity.subject == "alice"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({"code": "made-up"}, "invalid_grant", id="a code nobody issued"),
        pytest.param({"verifier": "w" * 43}, "invalid_grant", id="another verifier"),
        pytest.param({"redirect_uri": CALLBACK + "x"}, "invalid_grant", id="another redirect URI"),
        pytest.param({"nonce": "m"}, "nonce", id="another nonce"),
    ],
)
async def test_what_does_not_belong_together_is_refused(
    certified_provider: RunningProvider, given: dict[str, str], wanted: str
) -> None:
    async with client_of(certified_provider.issuer) as provider:
        answer = await code_for(provider, "alice")
        good = {
            "code": answer["code"],
            "verifier": VERIFIER,
            "nonce": "n",
            "redirect_uri": CALLBACK,
        }
        with pytest.raises(LoginRefused, match=wanted):
            await provider.redeem(**(good | given))


async def test_a_code_is_good_once(certified_provider: RunningProvider) -> None:
    async with client_of(certified_provider.issuer) as provider:
        code = (await code_for(provider, "alice"))["code"]
        once = {"code": code, "verifier": VERIFIER, "nonce": "n", "redirect_uri": CALLBACK}
        await provider.redeem(**once)
        with pytest.raises(LoginRefused, match="invalid_grant"):
            await provider.redeem(**once)


async def test_a_wrong_secret_is_refused(certified_provider: RunningProvider) -> None:
    async with client_of(certified_provider.issuer, client_secret="wrong") as provider:
        with pytest.raises(LoginRefused, match="invalid_client"):
            await sign_in(provider)


async def test_an_unverified_address_is_not_believed(certified_provider: RunningProvider) -> None:
    async with client_of(certified_provider.issuer) as provider:
        assert (await sign_in(provider, "eve")).identity.email is None


async def test_the_answer_names_its_issuer(certified_provider: RunningProvider) -> None:
    async with client_of(certified_provider.issuer) as provider:
        assert (await provider.metadata()).promises_iss
        assert (await code_for(provider, "alice"))["iss"] == certified_provider.issuer


async def test_rotated_keys_are_fetched(real_provider: RunningProvider) -> None:
    async with client_of(real_provider.issuer) as provider:
        await sign_in(provider)
        await asyncio.to_thread(real_provider.restart)
        assert (await sign_in(provider)).identity.subject == "alice"


async def test_two_at_once_never_swap(certified_provider: RunningProvider) -> None:
    async with client_of(certified_provider.issuer) as provider:
        users = ["alice", "bob"] * 8
        signed_in = await asyncio.gather(*(sign_in(provider, user) for user in users))
        assert [one.identity.subject for one in signed_in] == users


async def test_where_to_sign_out(certified_provider: RunningProvider) -> None:
    async with client_of(certified_provider.issuer) as provider:
        asked = {"id_token": "t", "return_to": "https://app.example.com/", "state": "s"}
        assert provider.end_session_url(**asked) is None
        await provider.metadata()
        url = provider.end_session_url(**asked)
        assert url is not None
        assert url.startswith(f"{certified_provider.issuer}/session/end?client_id=authz&")
        assert dict(parse_qsl(urlsplit(url).query))["id_token_hint"] == "t"


# A provider that does not behave


async def redeemed(issuer: str) -> AuthenticationResult:
    async with client_of(issuer) as provider:
        return await provider.redeem(
            code="a-code", verifier=VERIFIER, nonce="n", redirect_uri=CALLBACK
        )


async def test_the_truth_is_believed(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    assert (await redeemed(hostile_provider.issuer)).identity.subject == "alice"
    headers = next(headers for _, path, headers, _ in hostile_provider.seen if path == "/userinfo")
    assert headers["authorization"] == "Bearer at"


FLOOD = Answer(body=b" " * (MAX_RESPONSE_BYTES + 1))
GARBAGE = Answer(body=b"<html>not JSON</html>")
NOT_AN_OBJECT = document(["a list"])
DEEP = Answer(body=b"[" * 100_000)
BROKEN = Answer(status=500, body=b"{}")
ELSEWHERE = Answer(status=302, headers={"location": "/elsewhere"})
BOMB = Answer(body=b"\x1f\x8b", headers={"content-encoding": "gzip"})


@pytest.mark.parametrize(
    "path", ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"]
)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(FLOOD, id="a flood"),
        pytest.param(GARBAGE, id="garbage"),
        pytest.param(NOT_AN_OBJECT, id="a list"),
        pytest.param(DEEP, id="deep nesting"),
        pytest.param(BROKEN, id="status 500"),
        pytest.param(ELSEWHERE, id="a redirect"),
        pytest.param(BOMB, id="a compressed answer"),
    ],
)
async def test_nonsense_is_an_outage_and_nobody_gets_in(
    hostile_provider: HostileProvider, path: str, answer: Answer
) -> None:
    TamperedProvider(hostile_provider)
    hostile_provider.answers[path] = answer
    with pytest.raises(ProviderUnavailable):
        await redeemed(hostile_provider.issuer)
    assert not hostile_provider.asked_for("/elsewhere")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"id_token": None}, "no ID token", id="no ID token"),
        pytest.param({"id_token": 7}, "no ID token", id="ID token a number"),
        pytest.param({"id_token": "a.b.c"}, "not a signed JWT", id="ID token garbage"),
        pytest.param({"token_type": "mac"}, "bearer", id="another token type"),
        pytest.param({"token_type": None}, "bearer", id="no token type"),
        pytest.param({"access_token": None}, "no access token", id="no access token"),
        pytest.param({"error": "invalid_grant"}, "invalid_grant", id="error with status 200"),
    ],
)
async def test_a_bad_token_response_is_refused(
    hostile_provider: HostileProvider, changes: dict[str, object], why: str
) -> None:
    TamperedProvider(hostile_provider).set_token_response(**changes)
    with pytest.raises(LoginRefused, match=why):
        await redeemed(hostile_provider.issuer)


@pytest.mark.parametrize(
    ("key_ids", "taken"),
    [
        pytest.param(("only",), True, id="one key"),
        pytest.param(("one", "two"), False, id="several keys"),
    ],
)
async def test_a_token_without_kid(
    hostile_provider: HostileProvider, key_ids: tuple[str, ...], *, taken: bool
) -> None:
    """OpenID Connect Core, 10.1: with several keys in the set the token has to say which."""
    tampered_provider = TamperedProvider(hostile_provider)
    keys = [signed_tokens.signing_key("RS256", name) for name in key_ids]
    hostile_provider.answers["/jwks"] = document({"keys": [key.jwk for key in keys]})
    now = int(time.time())
    claims = signed_tokens.claims(iss=hostile_provider.issuer, iat=now, exp=now + 60, nonce="n")
    tampered_provider.set_token_response(id_token=keys[0].sign(claims, kid=None))
    if taken:
        assert (await redeemed(hostile_provider.issuer)).identity.subject == "alice"
    else:
        with pytest.raises(LoginRefused, match="which of several keys"):
            await redeemed(hostile_provider.issuer)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_sign_in_with_each_family_of_signatures(
    hostile_provider: HostileProvider, algorithm: str
) -> None:
    tampered_provider, key = (
        TamperedProvider(hostile_provider),
        signed_tokens.signing_key(algorithm),
    )
    hostile_provider.answers["/jwks"] = document({"keys": [key.jwk]})
    now = int(time.time())
    claims = signed_tokens.claims(iss=hostile_provider.issuer, iat=now, exp=now + 60, nonce="n")
    tampered_provider.set_token_response(id_token=key.sign(claims))
    assert (await redeemed(hostile_provider.issuer)).identity.subject == "alice"
    tampered_provider.set_token_response(id_token=signed_tokens.signing_key(algorithm).sign(claims))
    with pytest.raises(LoginRefused, match="wrong signature"):
        await redeemed(hostile_provider.issuer)


async def test_userinfo_of_somebody_else_is_refused(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    hostile_provider.answers["/userinfo"] = document({"sub": "bob"})
    with pytest.raises(LoginRefused, match="another `sub`"):
        await redeemed(hostile_provider.issuer)


async def test_nothing_secret_is_in_an_error(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    hostile_provider.answers["/token"] = document(
        {"error": "x", "error_description": "a-code"}, 400
    )
    with pytest.raises(LoginRefused) as caught:
        await redeemed(hostile_provider.issuer)
    assert "a-code" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"issuer": "http://localhost:1"}, "calls itself", id="another issuer"),
        pytest.param({"token_endpoint": None}, "missing", id="no token endpoint"),
        pytest.param({"token_endpoint": "http://idp.test/t"}, "not https", id="plain http"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, "no URL", id="a file"),
        pytest.param({"authorization_endpoint": "javascript:x"}, "no URL", id="a script"),
        pytest.param({"userinfo_endpoint": "https://u@x.test/"}, "no URL", id="userinfo in URL"),
    ],
)
async def test_discovery_is_read_with_suspicion(
    hostile_provider: HostileProvider, changes: dict[str, object], why: str
) -> None:
    hostile_provider.offers(**changes)
    async with client_of(hostile_provider.issuer) as provider:
        with pytest.raises(ProviderUnavailable, match=why):
            await provider.metadata()
        assert not provider.ready


async def test_a_slow_provider_costs_bounded_time(
    hostile_provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authz_sidecar.oidc.http_client.TOTAL_SECONDS", 0.2)
    release = threading.Event()
    TamperedProvider(hostile_provider)
    hostile_provider.answers["/token"] = replace(document({}), delay=release)
    started = time.monotonic()
    try:
        with pytest.raises(ProviderUnavailable, match="within"):
            await redeemed(hostile_provider.issuer)
    finally:
        release.set()
    assert time.monotonic() - started < 5


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it is the provider that we wait for
            await asyncio.sleep(0.02)


async def test_an_outage_is_said_once_and_ends_by_itself(
    hostile_provider: HostileProvider, caplog: pytest.LogCaptureFixture
) -> None:
    hostile_provider.answers["/.well-known/openid-configuration"] = BROKEN
    caplog.set_level(logging.INFO, logger="authz_sidecar")
    async with client_of(hostile_provider.issuer) as provider:
        await provider.start()
        await until(lambda: hostile_provider.asked_for("/.well-known/openid-configuration") >= 2)
        assert not provider.ready
        with pytest.raises(ProviderUnavailable):
            await provider.metadata()
        hostile_provider.offers()
        await until(lambda: provider.ready)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "`corp` is out of reach" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_provider_known_to_be_down_is_not_asked_again_at_once(
    hostile_provider: HostileProvider,
) -> None:
    hostile_provider.answers["/.well-known/openid-configuration"] = BROKEN
    async with client_of(hostile_provider.issuer) as provider:
        for _ in range(20):
            with pytest.raises(ProviderUnavailable):
                await provider.metadata()
    assert hostile_provider.asked_for("/.well-known/openid-configuration") == 1


async def test_metadata_outlives_an_outage(hostile_provider: HostileProvider) -> None:
    hostile_provider.offers()
    now = time.time()
    settings = ProviderSettings(name="corp", issuer=hostile_provider.issuer, client_id=CLIENT_ID)
    provider = OIDCClient(settings, clock=lambda: now)
    await provider.metadata()
    hostile_provider.answers.clear()
    now += 3601
    assert (await provider.metadata()).issuer == hostile_provider.issuer
    assert provider.ready
    await provider.aclose()


async def test_nobody_home() -> None:
    async with client_of("http://localhost:9") as provider:
        with pytest.raises(ProviderUnavailable, match="ConnectError"):
            await provider.metadata()


async def test_whom_to_trust_is_read_once_and_beside_the_event_loop() -> None:
    trust = TLSContext()
    first, second = await asyncio.gather(trust.context(), trust.context())
    assert first is second
