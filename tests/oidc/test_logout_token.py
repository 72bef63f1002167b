"""Logout tokens: every way to be wrong has its own row."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.oidc.logout_token import (
    EVENT,
    MAX_AGE_SECONDS,
    LogoutToken,
    unverified_issuer,
    verify_logout_token,
)
from tests.support.signed_tokens import CLIENT_ID, ISSUER, NOW, SigningKey, signing_key

KEY = signing_key("ES256")
NOW_ = int(NOW)


def token(*, header: dict[str, object] | None = None, **changes: object) -> str:
    good: dict[str, object] = {
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "iat": NOW_,
        "exp": NOW_ + 120,
        "jti": "once",
        "sub": "alice",
        "sid": "s1",
        "events": {EVENT: {}},
    }
    claims = {name: value for name, value in (good | changes).items() if value is not None}
    return KEY.sign(claims, **({"typ": "logout+jwt"} if header is None else header))


def verified(text: str, *, key: SigningKey = KEY) -> LogoutToken:
    return verify_logout_token(
        text, key=key.jwk, issuer=ISSUER, client_id=CLIENT_ID, algorithms=ALGORITHMS, now=NOW
    )


@pytest.mark.parametrize(
    ("changes", "subject", "session"),
    [
        pytest.param({}, "alice", "s1", id="sub and sid"),
        pytest.param({"sid": None}, "alice", None, id="sub alone"),
        pytest.param({"sub": None}, None, "s1", id="sid alone"),
        pytest.param({"aud": ["other", CLIENT_ID]}, "alice", "s1", id="several audiences"),
        pytest.param({"header": {"typ": "JWT"}}, "alice", "s1", id="typ of an older provider"),
        pytest.param({"header": {}}, "alice", "s1", id="no typ"),
        pytest.param({"header": {"typ": "LOGOUT+JWT"}}, "alice", "s1", id="typ in capitals"),
        pytest.param({"events": {EVENT: {}, "urn:other": {}}}, "alice", "s1", id="one event more"),
        pytest.param({"unknown": True}, "alice", "s1", id="one claim more"),
    ],
)
def test_good_ones(changes: dict[str, object], subject: str | None, session: str | None) -> None:
    told = verified(token(**changes))  # type: ignore[arg-type]
    assert (told.issuer, told.id) == (ISSUER, "once")
    assert (told.subject, told.session) == (subject, session)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"header": {"typ": "id_token+jwt"}}, "purpose", id="typ of an ID token"),
        pytest.param({"header": {"typ": "at+jwt"}}, "purpose", id="typ of an access token"),
        pytest.param({"header": {"typ": ["logout+jwt"]}}, "purpose", id="typ no string"),
        pytest.param({"nonce": "n"}, "nonce", id="nonce"),
        pytest.param({"nonce": ""}, "nonce", id="nonce empty"),
        pytest.param({"sub": None, "sid": None}, "neither", id="neither sub nor sid"),
        pytest.param({"sub": ""}, "sub", id="sub empty"),
        pytest.param({"sub": 7}, "sub|Subject", id="sub a number"),
        pytest.param({"sid": ""}, "sid", id="sid empty"),
        pytest.param({"sid": ["s1"]}, "sid", id="sid a list"),
        pytest.param({"sid": "s" * 256}, "sid", id="sid too long"),
        pytest.param({"events": None}, "refused", id="no events"),
        pytest.param({"events": {}}, "event", id="events empty"),
        pytest.param({"events": {"urn:other": {}}}, "event", id="another event"),
        pytest.param({"events": [EVENT]}, "event", id="events a list"),
        pytest.param({"events": EVENT}, "event", id="events a string"),
        pytest.param({"events": {EVENT: True}}, "event", id="event no object"),
        pytest.param({"iss": "https://other.example"}, "refused", id="another iss"),
        pytest.param({"iss": f"{ISSUER}/"}, "refused", id="iss with a slash more"),
        pytest.param({"iss": None}, "refused", id="no iss"),
        pytest.param({"aud": "other"}, "refused", id="another aud"),
        pytest.param({"aud": []}, "refused", id="aud empty"),
        pytest.param({"aud": None}, "refused", id="no aud"),
        pytest.param({"iat": None}, "refused", id="no iat"),
        pytest.param({"iat": NOW_ + 600, "exp": NOW_ + 900}, "future", id="iat in the future"),
        pytest.param({"iat": NOW_ - MAX_AGE_SECONDS}, "long ago", id="iat too old"),
        pytest.param({"iat": "now"}, "refused|time", id="iat no number"),
        pytest.param({"exp": None}, "refused", id="no exp"),
        pytest.param({"exp": NOW_ - 600}, "expired", id="exp passed"),
        pytest.param({"jti": None}, "refused", id="no jti"),
        pytest.param({"jti": ""}, "jti", id="jti empty"),
        pytest.param({"jti": 7}, "refused|jti", id="jti a number"),
        pytest.param({"jti": "j" * 300}, "jti", id="jti too long"),
    ],
)
def test_bad_ones(changes: dict[str, object], why: str) -> None:
    with pytest.raises(LoginRefused, match=why):
        verified(token(**changes))  # type: ignore[arg-type]


def test_another_key() -> None:
    with pytest.raises(LoginRefused, match="signature"):
        verified(token(), key=signing_key("ES256"))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_algorithm_that_is_not_ours(algorithm: str) -> None:
    head, claims, signature = token().split(".")
    head = urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "logout+jwt"}).encode()).decode()
    with pytest.raises(LoginRefused, match="not allowed"):
        verified(f"{head.rstrip('=')}.{claims}.{signature}")


@pytest.mark.parametrize(
    ("text", "issuer"),
    [
        pytest.param(token(), ISSUER, id="good"),
        pytest.param("", None, id="empty"),
        pytest.param("a.b", None, id="two parts"),
        pytest.param("a.b.c", None, id="no JSON"),
        pytest.param("a.\xff.c", None, id="no ASCII"),
        pytest.param(f"a.{urlsafe_b64encode(b'[]').decode()}.c", None, id="a list"),
        pytest.param(f"a.{urlsafe_b64encode(b'[' * 20000).decode()}.c", None, id="endlessly deep"),
        pytest.param(token(iss=["x"]), None, id="issuer a list"),
        pytest.param("a" * 70_000 + ".e30.c", None, id="too long"),
    ],
)
def test_who_claims_to_have_sent_it(text: str, issuer: str | None) -> None:
    assert unverified_issuer(text) == issuer
