"""Signed tokens at the gate: every way to be wrong has its own row, and none costs the issuer."""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64encode
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.tokens.claims import matches_wildcard, unverified_issuer
from authz_sidecar.tokens.settings import TokenClaimNames
from tests.routes.settings import RouteSpec
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.support.authorizer import APP, NOW, header
from tests.support.signed_tokens import SigningKey, signing_key
from tests.tokens.issuers import (
    API,
    AUDIENCE,
    KEY,
    build_token_fixture,
    claims,
    issuer_settings,
    unsigned_jwt,
)

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import HttpResponse

NOW_ = int(NOW)
OTHER = signing_key("ES256", "k1")


def logged_error(reply: HttpResponse) -> str:
    """What the program is told is wrong."""
    assert reply.status in {401, 403}
    challenge = header(reply, "www-authenticate")
    assert challenge is not None
    assert challenge.startswith('Bearer error="')
    assert (
        'resource_metadata="https://app.example.com/.well-known/oauth-protected-resource/api"'
        in (challenge)
    )
    error: str = json.loads(reply.body)["error"]
    # Which of the checks it was is for the log alone.
    if error == "invalid_token":
        assert 'error_description="The token is not accepted here."' in challenge
    assert f'error="{error}"' in challenge
    return error


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_algorithm_of_ours_passes(
    server: HostileProvider, algorithm: str
) -> None:
    key = signing_key(algorithm)
    async with aclosing(build_token_fixture(server, keys=(key,))) as home:
        reply = await home.check(key.sign(claims(server)))
    assert reply.status == 200
    assert header(reply, "x-auth-user") == "ci/repo:octo/app"
    record = home.authorizer_fixture.record
    assert record.credential == "token"
    assert record.session is not None
    assert record.session.identity.issuer == server.issuer


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"iss": "https://evil.example"}, id="wrong issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"iss": ["x"]}, id="issuer that is a list"),
        pytest.param({"aud": "https://other.example.com"}, id="wrong audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"aud": []}, id="empty audience"),
        pytest.param({"aud": [AUDIENCE, 7]}, id="audience of a number"),
        pytest.param({"aud": f"{AUDIENCE}/"}, id="audience with a slash more"),
        pytest.param({"aud": AUDIENCE.upper()}, id="audience in capitals"),
        pytest.param({"exp": None}, id="no exp"),
        pytest.param({"exp": NOW_ - 31}, id="expired"),
        pytest.param({"exp": str(NOW_ + 300)}, id="exp that is text"),
        pytest.param({"exp": True}, id="exp that is a truth"),
        pytest.param({"exp": float("inf")}, id="exp that never comes"),
        pytest.param({"exp": NOW_ + 90_000}, id="for longer than allowed"),
        pytest.param({"iat": None}, id="no iat"),
        pytest.param({"iat": NOW_ + 60}, id="issued in the future"),
        pytest.param({"nbf": NOW_ + 60}, id="not valid yet"),
        pytest.param({"nbf": "soon"}, id="nbf that is text"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": 7}, id="subject that is a number"),
        pytest.param({"sub": "a\nb"}, id="subject of two lines"),
        pytest.param({"sub": "x" * 2000}, id="long subject"),
        pytest.param({"nonce": "n"}, id="ID token with a nonce"),
        pytest.param({"at_hash": "h"}, id="ID token with at_hash"),
        pytest.param({"events": {}}, id="logout token"),
        pytest.param({"cnf": {"jkt": "x"}}, id="bound to a key"),
        pytest.param({"cnf": {"x5t#S256": "x"}}, id="bound to a certificate"),
        pytest.param({"cnf": None, "act": None, "exp": NOW_ - 100}, id="long expired"),
    ],
)
async def test_wrong_claims_are_refused(server: HostileProvider, change: dict[str, object]) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        reply = await home.check(KEY.sign(claims(server, **change)))
        assert logged_error(reply) == "invalid_token"
        assert home.authorizer_fixture.record.credential == "bearer"


def with_public_key(server: HostileProvider, key: SigningKey) -> str:
    """The trick of jwt-alg confusion: a MAC made with what everybody knows."""
    token = unsigned_jwt({"alg": "HS256", "kid": "k1"}, claims(server)).rstrip(".")
    secret = json.dumps(key.jwk).encode()
    mac = hmac.digest(secret, token.encode(), "sha256")
    return f"{token}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def forgeries(server: HostileProvider) -> dict[str, str]:
    good, said = KEY.sign(claims(server)), claims(server)
    head, body, signature = good.split(".")
    more = unsigned_jwt({}, claims(server, sub="admin")).split(".")[1]
    return {
        "alg none": unsigned_jwt({"alg": "none"}, said),
        "alg None with a kid": unsigned_jwt({"alg": "None", "kid": "k1"}, said, b"x"),
        "HS256 with the public key": with_public_key(server, KEY),
        "signature of another key": OTHER.sign(said),
        "no signature": f"{head}.{body}.",
        "other claims": f"{head}.{more}.{signature}",
        "key in the header": OTHER.sign(said, jwk=OTHER.jwk),
        "key at an address": OTHER.sign(said, jku="https://evil.example/jwks"),
        "unknown kid": OTHER.sign(said, kid="k2"),
        "kid that is a path": OTHER.sign(said, kid="../../dev/null"),
        "critical extension": KEY.sign(said, crit=["exp"]),
        "type of an ID token": KEY.sign(said, typ="id_token+jwt"),
        "type of a logout token": KEY.sign(said, typ="logout+jwt"),
        "type of a proof": KEY.sign(said, typ="dpop+jwt"),
        "alg that is no text": unsigned_jwt({"alg": 7}, said, b"x"),
        "zeros for a signature": f"{head}.{body}.{urlsafe_b64encode(bytes(64)).decode()[:-2]}",
        "encrypted": f"{head}.a.b.c.d",
        "four parts": f"{good}.x",
        "two parts": f"{head}.{body}",
        "list for claims": unsigned_jwt({"alg": "ES256"}, [], b"x"),  # type: ignore[arg-type]
        "huge": KEY.sign(claims(server, more="x" * 20_000)),
        "deep": KEY.sign(said).replace(body, urlsafe_b64encode(b"[" * 9000).decode()),
        "opaque": "opaque-token",
    }


@pytest.mark.parametrize("how", list(forgeries(HostileProvider(issuer="x"))))
async def test_forged_tokens_are_refused(server: HostileProvider, how: str) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        cookie = await home.authorizer_fixture.sign_in()
        reply = await home.check(forgeries(server)[how], cookie)
    assert reply.status == 401
    assert header(reply, "x-auth-user") is None


@pytest.mark.parametrize(
    ("typ", "types", "status"),
    [
        pytest.param(None, None, 200, id="none said, none asked"),
        pytest.param("JWT", None, 200, id="JWT"),
        pytest.param("at+jwt", None, 200, id="access token"),
        pytest.param("application/at+JWT", None, 200, id="in full"),
        pytest.param("at+jwt", ("at+jwt",), 200, id="access token, asked for"),
        pytest.param("JWT", ("at+jwt",), 401, id="JWT where an access token is asked for"),
        pytest.param(None, ("at+jwt",), 401, id="none said where one is asked for"),
    ],
)
async def test_types(
    server: HostileProvider, typ: str | None, types: tuple[str, ...] | None, status: int
) -> None:
    changed = {} if types is None else {"types": types}
    async with aclosing(build_token_fixture(server, issuer_settings(server, **changed))) as home:
        reply = await home.check(KEY.sign(claims(server), typ=typ))
    assert reply.status == status


@pytest.mark.parametrize(
    ("configured", "change", "status"),
    [
        pytest.param({"algorithms": ("RS256",)}, {}, 401, id="algorithm not allowed"),
        pytest.param({"audiences": ("a", AUDIENCE)}, {"aud": ["a"]}, 200, id="one of several"),
        pytest.param({}, {"aud": [AUDIENCE, "x"]}, 401, id="somebody else's as well"),
        pytest.param(
            {"additional_audiences": ("x",)},
            {"aud": [AUDIENCE, "x"]},
            200,
            id="somebody else's as well, who is known",
        ),
        pytest.param(
            {"additional_audiences": ("x",)}, {"aud": "x"}, 401, id="somebody else's alone"
        ),
        pytest.param({"require": {"azp": ("us",)}}, {"azp": "them"}, 401, id="of another client"),
        pytest.param({"leeway": 0.0}, {"exp": NOW_}, 401, id="no leeway"),
        pytest.param({"leeway": 120.0}, {"exp": NOW_ - 100}, 200, id="much leeway"),
        pytest.param({"max_lifetime": 100.0}, {}, 401, id="shorter lifetime"),
        pytest.param({"require": {"p": ("a", "b/*")}}, {"p": "b/c"}, 200, id="required, there"),
        pytest.param({"require": {"p": ("a", "b/*")}}, {"p": "xb/c"}, 401, id="required, other"),
        pytest.param({"require": {"p": ("*",)}}, {}, 401, id="required, missing"),
        pytest.param({"require": {"p": ("a",)}}, {"p": {"a": 1}}, 401, id="required, no text"),
        pytest.param({"require": {"k.n": ("x",)}}, {"k": {"n": "x"}}, 200, id="required inside"),
        pytest.param(
            {"require": {"k.io.n.m": ("x",)}},
            {"k.io": {"n": {"m": "x"}}},
            200,
            id="required inside a name with a dot",
        ),
        pytest.param(
            {"require": {"k.io.n": ("x",)}}, {"k.io": {"n": "y"}}, 401, id="required inside, other"
        ),
        pytest.param({"require": {"sub": ("repo:octo/*",)}}, {}, 200, id="subject pattern"),
        pytest.param({"require": {"sub": ("repo:oct/*",)}}, {}, 401, id="another's subject"),
        pytest.param({"scopes": ("read",)}, {"scope": "write read"}, 200, id="scope"),
        pytest.param({"scopes": ("read",)}, {"scp": ["read"]}, 200, id="scope in scp"),
        pytest.param({"scopes": ("read",)}, {"scope": "reading"}, 403, id="another scope"),
        pytest.param({"scopes": ("read",)}, {}, 403, id="no scope"),
        pytest.param({"require_dpop": True}, {}, 401, id="without the proof that is required"),
    ],
)
async def test_what_the_operator_says(
    server: HostileProvider, configured: dict[str, Any], change: dict[str, object], status: int
) -> None:
    async with aclosing(build_token_fixture(server, issuer_settings(server, **configured))) as home:
        reply = await home.check(KEY.sign(claims(server, **change)))
    assert reply.status == status
    if status == 403:
        assert logged_error(reply) == "insufficient_scope"


async def test_claims_name_the_program(server: HostileProvider) -> None:
    names = TokenClaimNames(user="k.name", email="mail", groups="teams", name="title")
    policy = {
        "allow": {
            "and": [
                {"claim/repository": "octo/app"},
                {"groups": {"has": "ops"}},
                {"domain": {"is": "example.com"}},
                {"user": {"is": "ci/bot"}},
            ]
        }
    }
    route = replace(API, allow_any_authenticated_user=False, policy=policy)
    said = {"k": {"name": "bot"}, "mail": "bot@example.com", "teams": ["ops"], "title": "Bot"}
    async with aclosing(
        build_token_fixture(server, issuer_settings(server, claims=names), routes=(route,))
    ) as home:
        reply = await home.check(KEY.sign(claims(server, repository="octo/app", **said)))
        assert reply.status == 200
        assert header(reply, "x-auth-email") == "bot@example.com"
        assert (await home.check(KEY.sign(claims(server, repository="o", **said)))).status == 403
    # What is not named is not believed, whatever the token says.
    async with aclosing(build_token_fixture(server, routes=(route,))) as home:
        more = {"email": "alice@example.com", "groups": ["ops"]}
        assert (await home.check(KEY.sign(claims(server, **more)))).status == 403


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"email_verified": False}, id="not verified"),
        pytest.param({"email_verified": "false"}, id="not verified, in words"),
        pytest.param({"email_verified": None}, id="verified by nothing"),
        pytest.param({"email": "alice@example.com@evil.example"}, id="two addresses in one"),
        pytest.param({"email": "<alice@example.com>"}, id="an address in brackets"),
        pytest.param({"email": ["alice@example.com"]}, id="a list"),
    ],
)
async def test_an_address_that_nobody_vouches_for_is_none(
    server: HostileProvider, said: dict[str, object]
) -> None:
    policy = {
        "allow": {"or": [{"domain": "example.com"}, {"claim/email": "alice@example.com"}]},
    }
    route = replace(API, allow_any_authenticated_user=False, policy=policy)
    believing = issuer_settings(server, claims=TokenClaimNames(email="email"))
    async with aclosing(build_token_fixture(server, believing, routes=(route,))) as home:
        good = claims(server, email="alice@example.com")
        assert (await home.check(KEY.sign(good))).status == 200
        assert (await home.check(KEY.sign(good | {"email_verified": True}))).status == 200
        assert (await home.check(KEY.sign(good | said))).status == 403


@pytest.mark.parametrize(
    ("verified", "status"),
    [
        pytest.param({"email_verified": True}, 200, id="verified"),
        pytest.param({"email_verified": False}, 403, id="not verified"),
    ],
)
async def test_nor_is_it_told_by_the_claim_that_it_was_inside(
    server: HostileProvider, verified: dict[str, object], status: int
) -> None:
    policy = {"allow": {"and": [{"claim/acme.io/mail": "alice@example.com"}]}}
    route = replace(API, allow_any_authenticated_user=False, policy=policy)
    believing = issuer_settings(server, claims=TokenClaimNames(email="acme.io.mail"))
    said = {"acme.io": {"mail": "alice@example.com"}, **verified}
    async with aclosing(build_token_fixture(server, believing, routes=(route,))) as home:
        assert (await home.check(KEY.sign(claims(server, **said)))).status == status


async def test_keys_are_found_by_discovery(server: HostileProvider) -> None:
    server.answers["/.well-known/openid-configuration"] = document(
        {"issuer": server.issuer, "jwks_uri": f"{server.issuer}/jwks"}
    )
    async with aclosing(
        build_token_fixture(server, issuer_settings(server, jwks_uri=None))
    ) as home:
        assert (await home.check(KEY.sign(claims(server)))).status == 200


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"issuer": "https://other.example"}, id="another issuer's"),
        pytest.param({"jwks_uri": "http://keys.example/jwks"}, id="keys without encryption"),
        pytest.param({"jwks_uri": 7}, id="keys nowhere"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, id="keys in a file"),
    ],
)
async def test_discovery_that_is_wrong_is_no_discovery(
    server: HostileProvider, found: dict[str, object]
) -> None:
    right: dict[str, object] = {"issuer": server.issuer, "jwks_uri": f"{server.issuer}/jwks"}
    server.answers["/.well-known/openid-configuration"] = document(right | found)
    async with aclosing(
        build_token_fixture(server, issuer_settings(server, jwks_uri=None))
    ) as home:
        assert (await home.check(KEY.sign(claims(server)))).status == 503


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(status=500), id="error"),
        pytest.param(Answer(body=b"<html>"), id="no JSON"),
        pytest.param(document([]), id="no object"),
        pytest.param(document({"keys": "x"}), id="no list"),
        pytest.param(Answer(body=b"x" * 2_000_000), id="flood"),
        pytest.param(Answer(status=302, headers={"location": "/jwks2"}), id="redirect"),
    ],
)
async def test_an_issuer_in_trouble_is_503_and_not_asked_by_every_request(
    server: HostileProvider, answer: Answer
) -> None:
    server.answers["/jwks"] = answer
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server))
        for _ in range(5):
            reply = await home.check(token, await home.authorizer_fixture.sign_in())
            assert reply.status == 503
            assert home.authorizer_fixture.record.outcome == "unavailable"
        assert server.asked_for("/jwks") == 1


async def test_keys_outlive_their_issuer_and_new_ones_are_found(server: HostileProvider) -> None:
    new = signing_key("ES256", "k2")
    async with aclosing(build_token_fixture(server)) as home:
        assert (await home.check(KEY.sign(claims(server)))).status == 200
        server.answers["/jwks"] = document({"keys": [KEY.jwk, new.jwk]})
        assert (await home.check(new.sign(claims(server)))).status == 200
        server.answers["/jwks"] = Answer(status=500)
        assert (await home.check(KEY.sign(claims(server, sub="another")))).status == 200


async def test_garbage_costs_the_issuer_nothing(server: HostileProvider) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        assert (await home.check(KEY.sign(claims(server)))).status == 200
        assert server.asked_for("/jwks") == 1
        for number in range(20):
            await home.check(OTHER.sign(claims(server, number=number)))
            await home.check(f"garbage-{number}")
            await home.check(KEY.sign(claims(server, iss=f"https://{number}.example")))
        assert server.asked_for("/jwks") == 1
        for number in range(20):
            await home.check(OTHER.sign(claims(server), kid=f"unknown-{number}"))
        assert server.asked_for("/jwks") <= 6
        assert len(server.seen) == server.asked_for("/jwks")


async def test_a_token_is_believed_until_it_ends_and_no_longer(server: HostileProvider) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, exp=NOW_ + 60))
        assert (await home.check(token)).status == 200
        home.authorizer_fixture.now[0] = NOW + 89
        assert (await home.check(token)).status == 200
        home.authorizer_fixture.now[0] = NOW + 90
        assert logged_error(await home.check(token)) == "invalid_token"


async def test_one_issuers_token_is_nothing_to_another_route(server: HostileProvider) -> None:
    other = RouteSpec(
        name="b", prefix="/b", allow_any_authenticated_user=True, token_issuers=("two",)
    )
    two = issuer_settings(server, name="two", audiences=("b",))
    async with aclosing(
        build_token_fixture(server, issuer_settings(server), two, routes=(API, other))
    ) as home:
        token = KEY.sign(claims(server))
        assert (await home.check(token)).status == 200
        assert (await home.check(token, path="/b")).status == 401
        assert (await home.check(token, path="/elsewhere")).status == 401
        assert home.authorizer_fixture.record.outcome == "sign-in"
        assert (await home.check(KEY.sign(claims(server, aud="b")), path="/b")).status == 200


@pytest.mark.parametrize("name", ["access_token", "token", "jwt", "authorization"])
async def test_a_token_in_the_query_is_not_read(server: HostileProvider, name: str) -> None:
    """RFC 6750 section 5.3: tokens in addresses end in logs."""
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server))
        reply = await home.authorizer_fixture.check(f"{APP}/api/x?{name}={token}")
    assert reply.status == 401
    assert home.authorizer_fixture.record.outcome == "sign-in"


async def test_no_log_shows_a_token(
    server: HostileProvider, caplog: pytest.LogCaptureFixture
) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = OTHER.sign(claims(server))
        await home.check(token)
        assert token not in home.error
        assert token.rpartition(".")[2] not in caplog.text + home.error


@given(st.text(max_size=60), st.text(alphabet="ab*", max_size=6))
def test_patterns_match_what_they_say(text: str, pattern: str) -> None:
    like = ".*".join(map(re.escape, pattern.split("*")))
    assert matches_wildcard(pattern, text) == bool(re.fullmatch(like, text, re.DOTALL))


@given(st.text(alphabet="ab", max_size=12), st.text(alphabet="ab*", max_size=6))
def test_patterns_match_what_they_say_of_few_letters(text: str, pattern: str) -> None:
    like = ".*".join(map(re.escape, pattern.split("*")))
    assert matches_wildcard(pattern, text) == bool(re.fullmatch(like, text, re.DOTALL))


@given(st.text(max_size=200) | st.from_regex(r"\A[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\Z"))
def test_nothing_a_stranger_sends_breaks_the_first_look(text: str) -> None:
    found = unverified_issuer(text)
    assert found is None or isinstance(found, str)
