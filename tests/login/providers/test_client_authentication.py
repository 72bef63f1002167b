"""A client with a key of its own, requests that are handed in beforehand, and signed userinfo:
against the certified provider, and against one that does not behave."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from authz_sidecar.errors import AuthzError, LoginRefused, ProviderUnavailable
from authz_sidecar.login.providers import load_client_key
from authz_sidecar.oidc.client_key import client_assertion
from tests.login.dishonest_provider import KEY, TamperedProvider
from tests.login.providers.test_client import CALLBACK, VERIFIER, client_of, redeemed, sign_in
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.servers.providers import CLIENT_ID, RunningProvider, running_certified_provider
from tests.support import signed_tokens
from tests.support.sign_in import APP, running_sign_in
from tests.support.sign_in_steps import sign_in as whole_sign_in
from tests.support.sign_in_steps import start_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {
    name: signed_tokens.signing_key(name, f"key-{name}") for name in ("RS256", "ES256", "EdDSA")
}


def pem_of(private: Any, *, encrypted: bool = False) -> str:
    encryption = BestAvailableEncryption(b"x") if encrypted else NoEncryption()
    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def public_pem(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def key_settings(algorithm: str) -> dict[str, Any]:
    key = KEYS[algorithm]
    return {
        "client_secret": None,
        "client_key": load_client_key(pem_of(key.private), key_id=key.key_id),
    }


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    """Takes requests for sign-in only if they were handed in, and clients with keys; signs all."""
    with running_certified_provider(
        tmp_path_factory.mktemp("strict-provider"),
        options={"pushedRequests": "required", "signedUserinfo": True},
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [{**key.jwk, "use": "sig"} for key in KEYS.values()]},
        userinfo_signed_response_alg="ES256",
    ) as provider:
        yield provider


@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
@pytest.mark.parametrize("algorithm", KEYS)
async def test_private_key_jwt_with_pushed_requests_and_signed_userinfo(
    strict: RunningProvider, algorithm: str, audience: str
) -> None:
    chosen: dict[str, Any] = {"client_assertion_audience": audience}
    async with client_of(strict.issuer, **key_settings(algorithm), **chosen) as provider:
        identity = (await sign_in(provider)).identity
    assert (identity.subject, identity.email) == ("alice", "alice@example.com")


async def test_the_whole_sign_in_with_a_key(strict: RunningProvider) -> None:
    providers = {"corp": key_settings("ES256")}
    async with (
        running_sign_in(strict.issuer, auth_host=None, providers=providers) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/x"))
        query = dict(parse_qsl(urlsplit(asked.headers["location"]).query))
        assert query.keys() == {"client_id", "request_uri"}
        assert await whole_sign_in(browser, rd="/x") == f"{APP}/x"
        assert await fixture.find_session(browser, APP) is not None


async def test_another_key_is_refused(strict: RunningProvider) -> None:
    key = signed_tokens.signing_key("ES256", "key-ES256")
    mine = {
        "client_secret": None,
        "client_key": load_client_key(pem_of(key.private), key_id=key.key_id),
    }
    async with client_of(strict.issuer, **mine) as provider:
        with pytest.raises(LoginRefused, match="invalid_client"):
            await sign_in(provider)


async def test_refresh_with_a_key(strict: RunningProvider) -> None:
    async with client_of(strict.issuer, **key_settings("ES256")) as provider:
        first = await sign_in(provider)
        assert first.refresh_token is not None
        tokens = await provider.refresh(first.refresh_token)
        assert (await provider.refreshed_identity(tokens, before=first.identity)).subject == "alice"


def test_an_assertion_says_who_for_whom_and_for_how_long() -> None:
    key = KEYS["ES256"]
    mine = load_client_key(pem_of(key.private), key_id=key.key_id)
    random = (b"a" * 16, b"b" * 16)
    one, other = (
        jwt.decode(
            client_assertion(mine, client_id="me", audience="them", now=time.time(), random=bytes_),
            jwt.PyJWK(dict(key.jwk), algorithm="ES256"),
            algorithms=["ES256"],
            audience="them",
        )
        for bytes_ in random
    )
    assert (one["iss"], one["sub"]) == ("me", "me")
    assert one["exp"] - one["iat"] == 60
    assert one["jti"] != other["jti"]
    assert "PRIVATE" not in repr(mine)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param("-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----", id="garbage"),
        pytest.param(pem_of(KEYS["ES256"].private, encrypted=True), id="encrypted"),
        pytest.param(public_pem(KEYS["ES256"].private), id="a public key"),
    ],
)
def test_a_key_that_cannot_sign_is_refused(pem: str) -> None:
    with pytest.raises(ValueError, match="not a private key"):
        load_client_key(pem, key_id=None)


# Pushed requests


async def asked_of(issuer: str, **settings: Any) -> str:
    async with client_of(issuer, **settings) as provider:
        return await provider.authorization_url(
            state="s",
            nonce="n",
            verifier=VERIFIER,
            redirect_uri=CALLBACK,
            extra={"acr_values": "x"},
        )


PUSHED = document({"request_uri": "urn:ietf:params:oauth:request_uri:1", "expires_in": 60}, 201)


async def test_a_pushed_request_carries_everything_and_the_browser_nothing(
    hostile_provider: HostileProvider,
) -> None:
    hostile_provider.offers(pushed_authorization_request_endpoint=f"{hostile_provider.issuer}/par")
    hostile_provider.answers["/par"] = PUSHED
    url = urlsplit(await asked_of(hostile_provider.issuer))
    assert dict(parse_qsl(url.query)) == {
        "client_id": CLIENT_ID,
        "request_uri": "urn:ietf:params:oauth:request_uri:1",
    }
    [(method, _, headers, body)] = [seen for seen in hostile_provider.seen if seen[1] == "/par"]
    assert method == "POST"
    assert headers["authorization"].startswith("Basic ")
    form = dict(parse_qsl(body.decode()))
    assert (form["state"], form["nonce"], form["acr_values"]) == ("s", "n", "x")
    assert (form["redirect_uri"], form["code_challenge_method"]) == (CALLBACK, "S256")


@pytest.mark.parametrize("chosen", ["issuer", "token_endpoint"])
async def test_an_assertion_is_for_the_endpoint_that_it_is_sent_to(
    hostile_provider: HostileProvider, chosen: Any
) -> None:
    """A provider may call the token endpoint of another its own, to get an assertion for it."""
    endpoint = f"{hostile_provider.issuer}/par"
    hostile_provider.offers(
        pushed_authorization_request_endpoint=endpoint,
        token_endpoint="https://idp.example.net/token",
    )
    hostile_provider.answers["/par"] = PUSHED
    await asked_of(
        hostile_provider.issuer, **key_settings("ES256"), client_assertion_audience=chosen
    )
    [body] = [body for _, path, _, body in hostile_provider.seen if path == "/par"]
    assertion = dict(parse_qsl(body.decode()))["client_assertion"]
    said = jwt.decode(assertion, options={"verify_signature": False})
    assert said["aud"] == {"issuer": hostile_provider.issuer, "token_endpoint": endpoint}[chosen]


@pytest.mark.parametrize("chosen", ["issuer", "token_endpoint"])
async def test_an_assertion_with_a_code_is_for_the_token_endpoint(
    hostile_provider: HostileProvider, chosen: Any
) -> None:
    TamperedProvider(hostile_provider)
    settings = {**key_settings("ES256"), "client_assertion_audience": chosen}
    async with client_of(hostile_provider.issuer, **settings) as provider:
        await provider.redeem(code="c", verifier=VERIFIER, nonce="n", redirect_uri=CALLBACK)
    [body] = [body for _, path, _, body in hostile_provider.seen if path == "/token"]
    assertion = dict(parse_qsl(body.decode()))["client_assertion"]
    said = jwt.decode(assertion, options={"verify_signature": False})
    expected = {
        "issuer": hostile_provider.issuer,
        "token_endpoint": f"{hostile_provider.issuer}/token",
    }
    assert said["aud"] == expected[chosen]


@pytest.mark.parametrize(
    ("setting", "offered", "pushed"),
    [
        pytest.param("auto", True, True, id="used where offered"),
        pytest.param("auto", False, False, id="not used where not offered"),
        pytest.param("never", True, False, id="never"),
        pytest.param("required", True, True, id="required"),
    ],
)
async def test_when_requests_are_pushed(
    hostile_provider: HostileProvider, setting: Any, *, offered: bool, pushed: bool
) -> None:
    endpoint = {"pushed_authorization_request_endpoint": f"{hostile_provider.issuer}/par"}
    hostile_provider.offers(**(endpoint if offered else {}))
    hostile_provider.answers["/par"] = PUSHED
    url = await asked_of(hostile_provider.issuer, pushed_authorization_requests=setting)
    assert ("request_uri=" in url) == pushed
    assert hostile_provider.asked_for("/par") == pushed


async def test_required_and_not_offered_is_an_error(hostile_provider: HostileProvider) -> None:
    hostile_provider.offers()
    with pytest.raises(ProviderUnavailable, match="offers no pushed"):
        await asked_of(hostile_provider.issuer, pushed_authorization_requests="required")


async def test_a_provider_that_requires_them_overrules_never(
    hostile_provider: HostileProvider,
) -> None:
    hostile_provider.offers(
        pushed_authorization_request_endpoint=f"{hostile_provider.issuer}/par",
        require_pushed_authorization_requests=True,
    )
    hostile_provider.answers["/par"] = PUSHED
    assert "request_uri=" in await asked_of(
        hostile_provider.issuer, pushed_authorization_requests="never"
    )


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(document({"error": "invalid_request"}, 400), LoginRefused, id="refused"),
        pytest.param(Answer(status=500), ProviderUnavailable, id="down"),
        pytest.param(Answer(body=b"<html>"), ProviderUnavailable, id="garbage"),
        pytest.param(document([], 201), ProviderUnavailable, id="a list"),
        pytest.param(document({}, 201), ProviderUnavailable, id="no request URI"),
        pytest.param(document({"request_uri": 7}, 201), ProviderUnavailable, id="a number"),
        pytest.param(document({"request_uri": "x" * 3000}, 201), ProviderUnavailable, id="long"),
        pytest.param(
            Answer(status=307, headers={"location": "/else"}), ProviderUnavailable, id="a redirect"
        ),
    ],
)
async def test_a_request_that_is_not_taken_is_not_sent_in_the_open(
    hostile_provider: HostileProvider, answer: Answer, error: type[AuthzError]
) -> None:
    hostile_provider.offers(pushed_authorization_request_endpoint=f"{hostile_provider.issuer}/par")
    hostile_provider.answers["/par"] = answer
    with pytest.raises(error):
        await asked_of(hostile_provider.issuer)
    assert not hostile_provider.asked_for("/else")


# Signed userinfo


def signed(**claims: object) -> Answer:
    body = KEY.sign({"sub": "alice", **claims}).encode()
    return Answer(body=body, headers={"content-type": "application/jwt; charset=utf-8"})


async def test_signed_userinfo_is_verified(hostile_provider: HostileProvider) -> None:
    TamperedProvider(hostile_provider)
    hostile_provider.answers["/userinfo"] = signed(
        iss=hostile_provider.issuer, aud="authz", email="a@example.com"
    )
    assert (await redeemed(hostile_provider.issuer)).identity.email == "a@example.com"


def not_signed(header: dict[str, object]) -> Answer:
    text = jwt.PyJWS().encode(b'{"sub":"alice"}', "x" * 32, algorithm="HS256", headers=header)
    return Answer(body=text.encode(), headers={"content-type": "application/jwt"})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(signed(sub="bob"), id="another sub"),
        pytest.param(signed(iss="https://evil.example"), id="another issuer"),
        pytest.param(signed(iss=["x"]), id="issuers"),
        pytest.param(signed(aud="another"), id="for another client"),
        pytest.param(signed(aud=["a", "b"]), id="for other clients"),
        pytest.param(signed(exp=1), id="expired"),
        pytest.param(not_signed({}), id="HS256"),
        pytest.param(
            Answer(
                body=signed_tokens.signing_key("RS256").sign({"sub": "alice"}).encode(),
                headers={"content-type": "application/jwt"},
            ),
            id="a key of somebody else",
        ),
        pytest.param(
            Answer(
                body=KEY.sign({"sub": "alice"}, typ="logout+jwt").encode(),
                headers={"content-type": "application/jwt"},
            ),
            id="of another purpose",
        ),
        pytest.param(
            Answer(body=b"a.b.c.d.e", headers={"content-type": "application/jwt"}), id="encrypted"
        ),
        pytest.param(
            Answer(
                body=json.dumps({"sub": "alice"}).encode(),
                headers={"content-type": "application/jwt"},
            ),
            id="not signed at all",
        ),
    ],
)
async def test_signed_userinfo_that_is_wrong_is_refused(
    hostile_provider: HostileProvider, answer: Answer
) -> None:
    TamperedProvider(hostile_provider)
    hostile_provider.answers["/userinfo"] = answer
    with pytest.raises(LoginRefused):
        await redeemed(hostile_provider.issuer)


async def test_keys_rotated_between_discovery_and_signing(
    hostile_provider: HostileProvider,
) -> None:
    """Also of a provider that does not name its keys, so that the old one seems to fit."""
    tampered_provider = TamperedProvider(hostile_provider)
    for name in ("k2", None):
        old = signed_tokens.signing_key("RS256", name)
        new = signed_tokens.signing_key("RS256", "k3" if name else None)
        hostile_provider.answers["/jwks"] = document({"keys": [old.jwk]})
        async with client_of(hostile_provider.issuer) as provider:
            now = int(time.time())
            claims = signed_tokens.claims(
                iss=hostile_provider.issuer, iat=now, exp=now + 60, nonce="n"
            )
            once = {"code": "c", "verifier": VERIFIER, "nonce": "n", "redirect_uri": CALLBACK}
            tampered_provider.set_token_response(id_token=old.sign(claims))
            await provider.redeem(**once)
            hostile_provider.answers["/jwks"] = document({"keys": [new.jwk]})
            tampered_provider.set_token_response(id_token=new.sign(claims))
            assert (await provider.redeem(**once)).identity.subject == "alice"


async def test_aggregated_and_distributed_claims_are_neither_fetched_nor_believed(
    hostile_provider: HostileProvider,
) -> None:
    """OpenID Connect Core, 5.6.2."""
    tampered_provider = TamperedProvider(hostile_provider)
    aggregated = KEY.sign({"sub": "alice", "groups": ["admins"]})
    sources = {
        "_claim_names": {"groups": "s1", "email": "s2"},
        "_claim_sources": {
            "s1": {"JWT": aggregated},
            "s2": {"endpoint": f"{hostile_provider.issuer}/claims", "access_token": "x"},
        },
    }
    tampered_provider.set_token_response(id_token=tampered_provider.id_token(**sources))
    hostile_provider.answers["/userinfo"] = document({"sub": "alice", **sources})
    hostile_provider.answers["/claims"] = document({"email": "boss@example.com"})
    identity = (await redeemed(hostile_provider.issuer)).identity
    assert (identity.groups, identity.email) == ((), None)
    assert not {"_claim_names", "_claim_sources"} & identity.claims.keys()
    assert not hostile_provider.asked_for("/claims")


def test_an_rsa_key_too_short_is_none() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ValueError, match="not a private key"):
        load_client_key(pem_of(short), key_id=None)
