from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.core.urls import Origin
from authz_sidecar.identity.assertion import (
    AssertionSigner,
    derive_signing_keys,
    signing_key_from_pem,
)
from authz_sidecar.identity.groups import AllGroups, filter_by_names
from authz_sidecar.sealing import SecretKeys

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Origin("https", "app.example.com")
OLD, NEW = b"o" * 32, b"n" * 32
SESSION = Session(
    public_id="h1",
    kind=SessionKind.SIGN_IN,
    scope="https://app.example.com",
    identity=Identity(
        provider="corp",
        issuer="https://idp.example.com",
        subject="u1",
        email="alice@example.com",
        name="Alice",
        groups=("eng", "ops"),
        claims={"department": "it", "sub": "forged", "email": "forged"},
    ),
    created_at=0,
    expires_at=10_000,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def signer(clock: Clock, *secrets: bytes, **options: object) -> AssertionSigner:
    keys = derive_signing_keys(SecretKeys(secrets or (NEW,)))
    chosen: dict[str, object] = {"ttl": 300.0, "group_filter": AllGroups(), **options}
    return AssertionSigner(keys, clock=clock, **chosen)  # type: ignore[arg-type]


def verified(token: str, by: AssertionSigner) -> dict[str, object]:
    """As an application does it: the key by its id, everything else as it must be."""
    keys = jwt.PyJWKSet.from_dict({"keys": [dict(key) for key in by.jwks()["keys"]]})
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, object] = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience="app.example.com",
        issuer="app.example.com",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    return claims


def test_what_is_stated() -> None:
    clock = Clock()
    by = signer(clock)
    token = by.assertion_for(SESSION, APP)
    claims = verified(token, by)
    assert claims.pop("jti")
    assert claims == {
        "iss": "app.example.com",
        "aud": "app.example.com",
        "iat": 1000,
        "exp": 1300,
        "sub": "u1",
        "user": "u1",
        "email": "alice@example.com",
        "groups": ["eng", "ops"],
        "sid": "h1",
        "name": "Alice",
    }
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("JWT", "ES256")


def test_configured_claims_are_stated_and_change_no_other() -> None:
    by = signer(Clock(), extra_claims=("department", "email", "sub", "absent"))
    claims = verified(by.assertion_for(SESSION, APP), by)
    assert claims["department"] == "it"
    assert (claims["sub"], claims["email"]) == ("u1", "alice@example.com")
    assert "absent" not in claims


def test_groups_are_those_the_host_may_hear_of_and_never_null() -> None:
    by = signer(Clock(), group_filter=filter_by_names(("eng",)))
    assert verified(by.assertion_for(SESSION, APP), by)["groups"] == ["eng"]
    by = signer(Clock(), group_filter=filter_by_names(()))
    assert verified(by.assertion_for(SESSION, APP), by)["groups"] == []


def test_one_signature_serves_until_shortly_before_it_expires() -> None:
    clock = Clock()
    by = signer(clock)
    first = by.assertion_for(SESSION, APP)
    clock.now += 200
    assert by.assertion_for(SESSION, APP) == first
    clock.now += 60
    second = by.assertion_for(SESSION, APP)
    assert second != first
    assert verified(second, by)["exp"] == 1560


def test_nobody_waits_for_a_renewal_that_comes_in_time() -> None:
    clock = Clock()
    waiting: list[Callable[[], object]] = []
    by = signer(clock, run_when_idle=waiting.append)
    first = by.assertion_for(SESSION, APP)
    assert by.stable_until(SESSION, APP) == 1240
    clock.now += 240
    assert [by.assertion_for(SESSION, APP), by.assertion_for(SESSION, APP)] == [first, first]
    (renew,) = waiting
    renew()
    second = by.assertion_for(SESSION, APP)
    assert second != first
    assert by.stable_until(SESSION, APP) == 1480
    clock.now += 280  # and nobody gets one that is about to expire
    assert by.assertion_for(SESSION, APP) not in {first, second}


def test_what_was_not_signed_is_not_steady() -> None:
    by = signer(Clock())
    assert by.stable_until(SESSION, APP) < 0


def test_hosts_sessions_and_changed_identities_have_their_own() -> None:
    by = signer(Clock())
    tokens = {
        by.assertion_for(SESSION, APP),
        by.assertion_for(SESSION, Origin("https", "other.example.com")),
        by.assertion_for(SESSION, Origin("https", "app.example.com", 8443)),
        by.assertion_for(replace(SESSION, public_id="h2"), APP),
        by.assertion_for(replace(SESSION, identity=replace(SESSION.identity, groups=())), APP),
    }
    assert len(tokens) == 5


def test_rotation_publishes_every_key_and_signs_with_the_first() -> None:
    clock = Clock()
    before, during, after = (
        signer(clock, OLD),
        signer(clock, OLD, NEW),
        signer(clock, NEW, OLD),
    )
    for by in (before, during, after):
        for reader in (during, after):
            verified(by.assertion_for(SESSION, APP), reader)
    published = [key["kid"] for key in after.jwks()["keys"]]
    assert len(set(published)) == 2
    header = jwt.get_unverified_header(after.assertion_for(SESSION, APP))
    assert header["kid"] == published[0]


def test_published_keys_are_public_and_complete() -> None:
    for key in signer(Clock(), OLD, NEW).jwks()["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")


def test_the_key_id_is_the_thumbprint() -> None:
    # RFC 7638 section 3, over a key whose thumbprint another implementation gave.
    (key,) = derive_signing_keys(SecretKeys((NEW,)))
    jwk = jwt.PyJWK.from_dict(dict(key.public_jwk))
    assert isinstance(jwk.key, ec.EllipticCurvePublicKey)
    assert len(bytes.fromhex(key.key_id)) == 32


def test_derived_keys_are_the_same_everywhere_and_differ_by_secret() -> None:
    first, again = (derive_signing_keys(SecretKeys((NEW,)))[0].key_id for _ in range(2))
    assert first == again != derive_signing_keys(SecretKeys((OLD,)))[0].key_id


def pem(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_a_key_from_a_file() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    by = AssertionSigner(
        (signing_key_from_pem(pem(private)),), ttl=300, group_filter=AllGroups(), clock=Clock()
    )
    assert verified(by.assertion_for(SESSION, APP), by)["sub"] == "u1"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", id="garbage"),
        pytest.param(pem(ec.generate_private_key(ec.SECP384R1())), id="other curve"),
        pytest.param(pem(ed25519.Ed25519PrivateKey.generate()), id="other kind"),
        pytest.param(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            ),
            id="encrypted",
        ),
        pytest.param(
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            id="public key",
        ),
    ],
)
def test_other_keys_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        signing_key_from_pem(data)
