"""ID tokens: every way to be wrong has its own row."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz_sidecar.config.schema import ALGORITHMS as CONFIGURABLE
from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.id_token import KINDS, ExpectedClaims, VerifiedClaims, verify_id_token
from authz_sidecar.oidc.jws import ALGORITHMS, LEEWAY_SECONDS, parse_header, suitable_keys
from tests.support.signed_tokens import (
    CLIENT_ID,
    ISSUER,
    NONCE,
    NOW,
    SigningKey,
    at_hash,
    claims,
    signing_key,
)

KEY = signing_key("ES256")
EXPECTED = ExpectedClaims(issuer=ISSUER, client_id=CLIENT_ID, nonce=NONCE)
ACCESS_TOKEN = "an-access-token"


def verified(
    token: str, key: SigningKey = KEY, expected: ExpectedClaims = EXPECTED, now: float = NOW
) -> VerifiedClaims:
    return verify_id_token(
        token, key=key.jwk, expected=expected, now=now, access_token=ACCESS_TOKEN
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_of_ours_is_verified(algorithm: str) -> None:
    key = signing_key(algorithm)
    digest = {"256": "sha256", "384": "sha384"}.get(algorithm[2:], "sha512")
    token = key.sign(claims(at_hash=at_hash(ACCESS_TOKEN, digest)))
    assert verified(token, key)["sub"] == "alice"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_signature_of_another_key_is_refused(algorithm: str) -> None:
    token = signing_key(algorithm).sign(claims())
    with pytest.raises(LoginRefused, match="wrong signature"):
        verified(token, signing_key(algorithm))


@pytest.mark.parametrize("at", [0, 40, -5])
def test_a_changed_signature_is_refused(at: int) -> None:
    head, body, signature = KEY.sign(claims()).split(".")
    flipped = "B" if signature[at] != "B" else "C"
    signature = f"{signature[:at]}{flipped}{signature[at:][1:]}"
    with pytest.raises(LoginRefused):
        verified(f"{head}.{body}.{signature}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"iss": "https://evil.example"}, "InvalidIssuer", id="iss of another"),
        pytest.param({"iss": f"{ISSUER}/"}, "InvalidIssuer", id="iss with a slash more"),
        pytest.param({"iss": [ISSUER]}, "token refused", id="iss in a list"),
        pytest.param({"iss": None}, "MissingRequired", id="iss missing"),
        pytest.param({"aud": "another"}, "InvalidAudience", id="aud of another"),
        pytest.param({"aud": f"{CLIENT_ID}-x"}, "InvalidAudience", id="aud begins alike"),
        pytest.param({"aud": ["x", "y"], "azp": CLIENT_ID}, "InvalidAudience", id="aud list"),
        pytest.param({"aud": []}, "token refused", id="aud empty list"),
        pytest.param({"aud": None}, "MissingRequired", id="aud missing"),
        pytest.param({"aud": [CLIENT_ID, "x"]}, "azp", id="several aud without azp"),
        pytest.param({"aud": [CLIENT_ID, "x"], "azp": "x"}, "another client", id="azp of another"),
        pytest.param({"azp": "x"}, "another client", id="azp of another with single aud"),
        pytest.param({"sub": None}, "MissingRequired", id="sub missing"),
        pytest.param({"sub": ""}, "sub", id="sub empty"),
        pytest.param({"sub": 7}, "InvalidSubject", id="sub a number"),
        pytest.param({"sub": "null"}, "sub", id="sub null"),
        pytest.param({"sub": "*"}, "sub", id="sub a star"),
        pytest.param({"sub": " alice"}, "sub", id="sub with white space"),
        pytest.param({"sub": "a\r\nb"}, "sub", id="sub with a line break"),
        pytest.param({"sub": "a" * 256}, "sub", id="sub too long"),
        pytest.param({"exp": None}, "MissingRequired", id="exp missing"),
        pytest.param({"exp": NOW - LEEWAY_SECONDS}, "expired", id="exp past"),
        pytest.param({"exp": "soon"}, "no time", id="exp a word"),
        pytest.param({"exp": True}, "no time", id="exp a truth"),
        pytest.param({"exp": 10**400}, "no time", id="exp beyond numbers"),
        pytest.param({"exp": float("nan")}, "no time", id="exp not a number"),
        pytest.param({"iat": None}, "MissingRequired", id="iat missing"),
        pytest.param({"iat": NOW + LEEWAY_SECONDS + 1}, "future", id="iat to come"),
        pytest.param({"nbf": NOW + LEEWAY_SECONDS + 1}, "not valid yet", id="nbf to come"),
        pytest.param({"nonce": None}, "nonce", id="nonce missing"),
        pytest.param({"nonce": "another"}, "nonce", id="nonce of another attempt"),
        pytest.param({"nonce": ""}, "nonce", id="nonce empty"),
        pytest.param({"nonce": [NONCE]}, "nonce", id="nonce in a list"),
        pytest.param({"at_hash": at_hash("x")}, "another access token", id="at_hash of another"),
        pytest.param({"at_hash": ""}, "another access token", id="at_hash empty"),
    ],
)
def test_a_wrong_claim_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(LoginRefused, match=why):
        verified(KEY.sign(claims(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": [CLIENT_ID]}, id="aud a list of one"),
        pytest.param({"aud": [CLIENT_ID, "x"], "azp": CLIENT_ID}, id="several aud with azp"),
        pytest.param({"exp": NOW - LEEWAY_SECONDS + 1}, id="exp within the leeway"),
        pytest.param({"iat": NOW + LEEWAY_SECONDS}, id="iat within the leeway"),
        pytest.param({"at_hash": at_hash(ACCESS_TOKEN)}, id="at_hash"),
        pytest.param(
            {"nonce_supported": False}, id="a claim may not switch checks, nor break them"
        ),
    ],
)
def test_a_good_claim_passes(changes: dict[str, object]) -> None:
    assert verified(KEY.sign(claims(**changes)))["sub"] == "alice"


def unsigned(header: dict[str, object], secret: bytes | None = None) -> str:
    """A token that no library would make: no signature, or a MAC with whatever secret."""
    parts = [json.dumps(header).encode(), json.dumps(claims()).encode()]
    text = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(secret, text, "sha256") if secret else b""
    return f"{text.decode()}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(unsigned({"alg": "none"}), id="alg none"),
        pytest.param(unsigned({"alg": "None"}), id="alg None"),
        pytest.param(unsigned({}), id="no alg"),
        pytest.param(unsigned({"alg": ["ES256"]}), id="alg in a list"),
        pytest.param(
            unsigned({"alg": "HS256", "kid": "k1"}, json.dumps(KEY.jwk).encode()),
            id="HS256 with the public key as its secret",
        ),
        pytest.param(
            unsigned(
                {"alg": "HS256", "kid": "k1"},
                KEY.private.public_key().public_bytes(
                    Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
                ),
            ),
            id="HS256 with the public key in PEM as its secret",
        ),
        pytest.param(KEY.sign(claims(), typ="at+jwt"), id="an access token"),
        pytest.param(KEY.sign(claims(), typ="logout+jwt"), id="a logout token"),
        pytest.param(KEY.sign(claims(), crit=["x"], x=1), id="critical extension"),
        pytest.param(KEY.sign(claims()) + "." * 2, id="five parts"),
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="no base64"),
        pytest.param("x" * 70_000, id="too long"),
    ],
)
def test_a_wrong_envelope_is_refused(token: str) -> None:
    with pytest.raises(LoginRefused):
        verified(token)


def test_the_configuration_may_narrow_the_algorithms() -> None:
    narrow = ExpectedClaims(issuer=ISSUER, client_id=CLIENT_ID, nonce=NONCE, algorithms=("RS256",))
    with pytest.raises(LoginRefused, match="not allowed"):
        verified(KEY.sign(claims()), expected=narrow)


def test_the_configuration_cannot_widen_them() -> None:
    with pytest.raises(LoginRefused, match="not allowed"):
        parse_header(unsigned({"alg": "none"}), algorithms=("none",), kinds=KINDS)


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        pytest.param({}, True, id="as it is"),
        pytest.param({"use": "enc"}, False, id="an encryption key"),
        pytest.param({"alg": "ES384"}, False, id="for another algorithm"),
        pytest.param({"key_ops": ["sign"]}, False, id="not for verification"),
        pytest.param({"kty": "oct"}, False, id="a shared secret"),
        pytest.param({"crv": "P-384"}, False, id="another curve"),
        pytest.param({"kid": "k2"}, False, id="another name"),
    ],
)
def test_which_keys_a_header_may_mean(changes: dict[str, object], *, fits: bool) -> None:
    header = parse_header(KEY.sign(claims()), algorithms=ALGORITHMS, kinds=KINDS)
    assert bool(suitable_keys([{**KEY.jwk, **changes}], header)) is fits


def test_a_configuration_may_name_what_we_verify_and_nothing_else() -> None:
    assert set(CONFIGURABLE) == set(ALGORITHMS)


@pytest.mark.parametrize(
    ("auth_time", "believed"),
    [
        pytest.param(NOW - 10, True, id="a moment ago"),
        pytest.param(NOW + LEEWAY_SECONDS, True, id="by a clock a little ahead"),
        pytest.param(NOW + LEEWAY_SECONDS + 1, False, id="to come"),
        pytest.param(NOW * 1000, False, id="in milliseconds"),
        pytest.param(float("nan"), False, id="not a number"),
        pytest.param(float("inf"), False, id="never"),
        pytest.param(10**400, False, id="beyond numbers"),
    ],
)
def test_nobody_has_signed_in_at_a_time_to_come(
    auth_time: float,
    believed: bool,  # noqa: FBT001
) -> None:
    assert ("auth_time" in verified(KEY.sign(claims(auth_time=auth_time)))) is believed
