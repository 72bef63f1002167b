"""Tokens that are bound to a key (RFC 9449): every way for a proof to prove nothing."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.sessions import MemoryStore
from tests.support.authorizer import APP, JSON, NAMES, NOW, header
from tests.support.signed_tokens import signing_key
from tests.tokens.issuers import (
    API,
    KEY,
    access_token_hash,
    build_token_fixture,
    claims,
    dpop_proof,
    issuer_settings,
    key_confirmation,
)

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import HttpResponse
    from authz_sidecar.sessions.store import StoreEntry
    from tests.servers.hostile_provider import HostileProvider

NOW_ = int(NOW)
HOLDER = signing_key("ES256")
THIEF = signing_key("ES256")


def challenges(reply: HttpResponse) -> list[str]:
    return [value for name, value in reply.headers if name == "www-authenticate"]


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "PS512", "EdDSA"])
async def test_a_bound_token_passes_with_its_proof(server: HostileProvider, algorithm: str) -> None:
    holder = signing_key(algorithm)
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(holder)))
        line = ("dpop", dpop_proof(holder, token))
        assert (await home.check(token, line, scheme="DPoP")).status == 200


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"htm": "POST"}, id="another method"),
        pytest.param({"htm": "get"}, id="method in small letters"),
        pytest.param({"htm": None}, id="no method"),
        pytest.param({"htu": f"{APP}/api/y"}, id="another path"),
        pytest.param({"htu": "https://other.example.com/api/x"}, id="another host"),
        pytest.param({"htu": "http://app.example.com/api/x"}, id="another scheme"),
        pytest.param({"htu": f"{APP}:8443/api/x"}, id="another port"),
        pytest.param({"htu": f"{APP}/api/x/"}, id="a slash more"),
        pytest.param({"htu": "/api/x"}, id="no host"),
        pytest.param({"htu": None}, id="no address"),
        pytest.param({"htu": ["x"]}, id="address that is a list"),
        pytest.param({"iat": NOW_ - 61}, id="too old"),
        pytest.param({"iat": NOW_ + 61}, id="of the future"),
        pytest.param({"iat": None}, id="of no time"),
        pytest.param({"iat": "now"}, id="time that is text"),
        pytest.param({"iat": float("nan")}, id="time that is none"),
        pytest.param({"iat": 10**400}, id="time beyond numbers"),
        pytest.param({"ath": access_token_hash("another")}, id="of another token"),
        pytest.param({"ath": None}, id="of no token"),
        pytest.param({"ath": 7}, id="token that is a number"),
        pytest.param({"jti": None}, id="without a name"),
        pytest.param({"jti": ""}, id="with an empty name"),
        pytest.param({"jti": "x" * 600}, id="with a long name"),
        pytest.param({"jti": 7}, id="with a number for a name"),
        pytest.param({"typ": "JWT"}, id="of another type"),
        pytest.param({"typ": None}, id="of no type"),
        pytest.param({"jwk": None}, id="without a key"),
        pytest.param({"jwk": "x"}, id="with text for a key"),
        pytest.param({"jwk": {}}, id="with an empty key"),
        pytest.param({"jwk": THIEF.jwk}, id="with a key that did not sign"),
        pytest.param({"jwk": HOLDER.jwk | {"d": "x"}}, id="with a private key"),
        pytest.param({"jwk": {"kty": "oct", "k": "x"}}, id="with a secret"),
        pytest.param({"jwk": HOLDER.jwk | {"use": "enc"}}, id="with a key for something else"),
        pytest.param({"crit": ["x"]}, id="with a critical extension"),
        pytest.param({"more": "x" * 5000}, id="huge"),
    ],
)
async def test_a_proof_that_proves_nothing_is_refused(
    server: HostileProvider, change: dict[str, object]
) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        cookie = await home.authorizer_fixture.sign_in()
        line = ("dpop", dpop_proof(HOLDER, token, **change))
        reply = await home.check(token, line, cookie, JSON, scheme="DPoP")
        assert reply.status == 401
        assert any('DPoP error="invalid_dpop_proof"' in each for each in challenges(reply))
        assert home.authorizer_fixture.record.credential == "dpop"
        # Nothing was written for it: the honest one still passes.
        honest = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, honest, scheme="DPoP")).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((), id="none"),
        pytest.param(("good", "good"), id="twice"),
        pytest.param(("good, good",), id="list"),
        pytest.param(("x.y.z",), id="garbage"),
        pytest.param(("",), id="empty"),
    ],
)
async def test_there_is_exactly_one_proof(server: HostileProvider, lines: tuple[str, ...]) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        good = dpop_proof(HOLDER, token)
        more = tuple(("dpop", line.replace("good", good)) for line in lines)
        assert (await home.check(token, *more, scheme="DPoP")).status == 401


async def test_a_stolen_token_is_worth_nothing(server: HostileProvider) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        assert (await home.check(token)).status == 401, "as a bearer token"
        line = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, line)).status == 401, "with a proof and the wrong scheme"
        line = ("dpop", dpop_proof(THIEF, token))
        assert (await home.check(token, line, scheme="DPoP")).status == 401, "with another key"


async def test_a_token_that_is_bound_to_nothing_is_no_dpop_token(server: HostileProvider) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server))
        line = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, line, scheme="DPoP")).status == 401
        assert (await home.check(token)).status == 200


class Counting(MemoryStore):
    """A store that counts what is written to it."""

    writes = 0

    async def write(self, *entries: StoreEntry) -> None:
        self.writes += 1
        await super().write(*entries)

    async def write_if_absent(self, entry: StoreEntry) -> bool:
        self.writes += 1
        return await super().write_if_absent(entry)

    async def count(self, key: str, *, window: float) -> int:
        self.writes += 1
        return await super().count(key, window=window)


async def test_only_who_holds_a_token_and_its_key_writes_anything(server: HostileProvider) -> None:
    store = Counting(clock=lambda: NOW)
    async with aclosing(build_token_fixture(server, store=store)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        forged = THIEF.sign(claims(server, cnf=key_confirmation(THIEF)), kid="k1")
        for scheme in ("Bearer", "DPoP", "Basic"):
            for text in ("x", "a.b.c", forged, token):
                for line in (dpop_proof(THIEF, text), dpop_proof(HOLDER, text, htm="PUT"), "x"):
                    await home.check(text, ("dpop", line), scheme=scheme)
        assert store.writes == 0
        honest = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, honest, scheme="DPoP")).status == 200
        assert store.writes == 1


async def test_while_nobody_knows_what_was_used_no_proof_counts(server: HostileProvider) -> None:
    class Away(MemoryStore):
        async def write_if_absent(self, entry: StoreEntry) -> bool:
            raise StoreUnavailable(f"no route to the store of {len(entry.key)} letters")

    async with aclosing(build_token_fixture(server, store=Away(clock=lambda: NOW))) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        line = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, line, scheme="DPoP")).status == 503


async def test_a_proof_counts_once(server: HostileProvider) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        line = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, line, scheme="DPoP")).status == 200
        reply = await home.check(token, line, scheme="DPoP")
        assert reply.status == 401
        assert "used before" in home.error
        other = ("dpop", dpop_proof(HOLDER, token, jti="proof-2"))
        assert (await home.check(token, other, scheme="DPoP")).status == 200
        # Long after, it is too old: nothing has to be remembered any more.
        home.authorizer_fixture.now[0] += 121
        assert (await home.check(token, line, scheme="DPoP")).status == 401


async def test_a_refusal_is_worded_by_the_challenge_without_using_the_proof(
    server: HostileProvider,
) -> None:
    """nginx asks twice about what the policy refuses; the proof is used by the first question."""
    nobody = replace(
        API,
        allow_any_authenticated_user=False,
        policy={"allow": {"and": [{"claim/team": "other"}]}},
    )
    async with aclosing(build_token_fixture(server, routes=(nobody,))) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        line = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, line, scheme="DPoP", adapter="nginx")).status == 403
        reason = ("x-authz-reason", "forbidden")
        reply = await home.check(token, line, reason, scheme="DPoP", adapter="nginx-challenge")
        assert reply.status == 403
        assert home.authorizer_fixture.record.outcome == "deny"


async def test_that_a_proof_was_used_is_worded_by_the_challenge(server: HostileProvider) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        line = ("dpop", dpop_proof(HOLDER, token))
        assert (await home.check(token, line, scheme="DPoP", adapter="nginx")).status == 200
        assert (await home.check(token, line, scheme="DPoP", adapter="nginx")).status == 401
        reason = ("x-authz-reason", "credentials")
        reply = await home.check(token, line, reason, scheme="DPoP", adapter="nginx-challenge")
        assert 'error="invalid_dpop_proof"' in "".join(challenges(reply))


@pytest.mark.parametrize("by", [name for name in NAMES if name != "nginx-challenge"])
async def test_every_proxy_says_what_the_proof_is_compared_with(
    server: HostileProvider, by: str
) -> None:
    async with aclosing(build_token_fixture(server)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        line = ("dpop", dpop_proof(HOLDER, token, htu=f"{APP}:443/api/x?left#out"))
        assert (
            await home.check(token, line, scheme="DPoP", adapter=by, path="/api/x?a=b")
        ).status == 200


async def test_a_nonce_is_asked_for_and_then_taken(server: HostileProvider) -> None:
    configured = issuer_settings(server, dpop_nonce=True, require_dpop=True)
    async with aclosing(build_token_fixture(server, configured)) as home:
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER)))
        given = None
        for nonce in (None, "guess", ""):
            line = ("dpop", dpop_proof(HOLDER, token, nonce=nonce))
            reply = await home.check(token, line, scheme="DPoP")
            assert reply.status == 401
            assert challenges(reply)[0].startswith('DPoP error="use_dpop_nonce"')
            given = header(reply, "dpop-nonce")
        assert given
        line = ("dpop", dpop_proof(HOLDER, token, nonce=given))
        assert (await home.check(token, line, scheme="DPoP")).status == 200
        home.authorizer_fixture.now[0] += 601
        token = KEY.sign(claims(server, cnf=key_confirmation(HOLDER), exp=NOW_ + 900))
        line = ("dpop", dpop_proof(HOLDER, token, nonce=given, iat=NOW_ + 601, jti="later"))
        assert (await home.check(token, line, scheme="DPoP")).status == 401


async def test_where_a_proof_is_required_the_challenge_says_so(server: HostileProvider) -> None:
    async with aclosing(
        build_token_fixture(server, issuer_settings(server, require_dpop=True))
    ) as home:
        reply = await home.check(KEY.sign(claims(server)))
        (challenge,) = challenges(reply)
        assert challenge.startswith("DPoP error=")
        assert f'algs="{" ".join(ALGORITHMS)}"' in challenge
