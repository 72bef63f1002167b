"""From claims to an identity."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from authz_sidecar.errors import LoginRefused
from authz_sidecar.login.claims import ClaimNames, ClaimRules, identity_from_claims, merge_userinfo
from authz_sidecar.oidc.id_token import VerifiedClaims
from tests.support.signed_tokens import ISSUER, claims


def given(**changes: object) -> VerifiedClaims:
    return VerifiedClaims(claims(**changes))


def test_an_identity_has_what_was_claimed() -> None:
    identity = identity_from_claims(
        given(
            email="alice@example.com",
            name="Alice",
            groups=["eng", "ops"],
            acr="gold",
            amr=["pwd", "otp"],
            auth_time=17,
            department="R&D",
            _claim_names={"x": "y"},
        ),
        provider="corp",
        rules=ClaimRules(),
    )
    assert (identity.provider, identity.issuer, identity.subject) == ("corp", ISSUER, "alice")
    assert (identity.email, identity.name) == ("alice@example.com", "Alice")
    assert identity.groups == ("eng", "ops")
    assert (identity.acr, identity.amr, identity.authenticated_at) == ("gold", ("pwd", "otp"), 17)
    assert identity.claims["department"] == "R&D"
    assert not {"nonce", "aud", "exp", "iat", "_claim_names"} & identity.claims.keys()


@pytest.mark.parametrize(
    ("verified", "by_default", "required", "allowed"),
    [
        pytest.param(True, True, True, True, id="verified"),
        pytest.param("true", True, True, True, id="verified, as a string"),
        pytest.param(None, True, False, True, id="not said"),
        pytest.param(False, False, False, True, id="unverified"),
        pytest.param("false", False, False, True, id="unverified, as a string"),
        pytest.param("maybe", False, False, True, id="nonsense"),
    ],
)
def test_an_address_is_believed_when_verified(
    *, verified: object, by_default: bool, required: bool, allowed: bool
) -> None:
    said = given(email="alice@example.com", email_verified=verified)
    for rules, believed in [
        (ClaimRules(), by_default),
        (ClaimRules(require_verified_email=True), required),
        (ClaimRules(allow_unverified_email=True), allowed),
    ]:
        identity = identity_from_claims(said, provider="corp", rules=rules)
        assert identity.email == ("alice@example.com" if believed else None)
        # Nor does an address that is not believed come back as a claim.
        assert identity.claims.get("email") == identity.email


@pytest.mark.parametrize(
    ("verified", "required", "passes"),
    [
        pytest.param(True, True, True, id="verified"),
        pytest.param(None, False, True, id="not said, and need not be"),
        pytest.param(None, True, False, id="not said"),
        pytest.param(False, False, False, id="unverified"),
    ],
)
def test_nobody_is_called_by_an_address_that_is_not_theirs(
    *, verified: object, required: bool, passes: bool
) -> None:
    said = given(email="alice@example.com", email_verified=verified)
    rules = ClaimRules(names=ClaimNames(user="email"), require_verified_email=required)
    with nullcontext() if passes else pytest.raises(LoginRefused, match="names the user"):
        assert (
            identity_from_claims(said, provider="corp", rules=rules).subject == "alice@example.com"
        )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "alice",
        "@example.com",
        "alice@",
        "a@b@example.com",
        "a b@example.com",
        "a@b\n",
        7,
        ["a@b"],
    ],
)
def test_what_is_no_address_is_none(address: object) -> None:
    assert (
        identity_from_claims(given(email=address), provider="corp", rules=ClaimRules()).email
        is None
    )


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        pytest.param(["a", "b", "a"], ("a", "b"), id="a list, doubles once"),
        pytest.param("a", ("a",), id="a single string"),
        pytest.param([1, 2], ("1", "2"), id="numbers"),
        pytest.param([{"name": "a"}, None, True, ""], (), id="nothing that is a name"),
        pytest.param({"a": True}, (), id="an object"),
        pytest.param(None, (), id="absent"),
    ],
)
def test_groups_are_strings(value: object, groups: tuple[str, ...]) -> None:
    assert (
        identity_from_claims(given(groups=value), provider="corp", rules=ClaimRules()).groups
        == groups
    )


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        pytest.param("cognito:groups", {"cognito:groups": ["a"]}, id="another name"),
        pytest.param("pomerium.io/groups", {"pomerium.io/groups": ["a"]}, id="dots in the name"),
        pytest.param("realm_access.roles", {"realm_access": {"roles": ["a"]}}, id="a path"),
        pytest.param("acme.io.groups", {"acme.io": {"groups": ["a"]}}, id="a path into dots"),
    ],
)
def test_the_configuration_says_where_groups_are(name: str, extra: dict[str, object]) -> None:
    rules = ClaimRules(names=ClaimNames(groups=(name,)))
    assert identity_from_claims(given(**extra), provider="corp", rules=rules).groups == ("a",)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("mail", {"mail": "a@example.com"}, id="a name"),
        pytest.param("work.mail", {"work": {"mail": "a@example.com"}}, id="a path"),
        pytest.param("acme.io.mail", {"acme.io": {"mail": "a@example.com"}}, id="into dots"),
        pytest.param("{client_id}.mail", {"authz": {"mail": "a@example.com"}}, id="the client's"),
    ],
)
def test_an_address_that_is_not_believed_is_told_by_no_claim(
    path: str, said: dict[str, object]
) -> None:
    names = ClaimNames(email=(path,))
    for verified, email in ((True, "a@example.com"), (False, None)):
        identity = identity_from_claims(
            given(email_verified=verified, **said),
            provider="corp",
            rules=ClaimRules(names=names, client_id="authz"),
        )
        assert identity.email == email
        assert ("a@example.com" in str(identity.claims)) is verified


def test_a_user_claim_that_names_nobody_is_refused() -> None:
    with pytest.raises(LoginRefused):
        identity_from_claims(
            given(), provider="corp", rules=ClaimRules(names=ClaimNames(user="oid"))
        )


@pytest.mark.parametrize("userinfo", [{}, {"sub": "bob"}, {"sub": None}, {"sub": ["alice"]}])
def test_userinfo_of_somebody_else_is_refused(userinfo: dict[str, object]) -> None:
    with pytest.raises(LoginRefused, match="another `sub`"):
        merge_userinfo(given(), userinfo)


def test_userinfo_adds_but_does_not_rewrite_the_token() -> None:
    merged = merge_userinfo(
        given(acr="gold"),
        {"sub": "alice", "name": "Alice", "iss": "https://evil.example", "acr": "none", "aud": "x"},
    )
    assert merged == claims(acr="gold", name="Alice")


def test_verification_of_one_address_is_not_lent_to_another() -> None:
    merged = merge_userinfo(
        given(email="a@example.com", email_verified=True),
        {"sub": "alice", "email": "b@example.com"},
    )
    assert (merged["email"], merged.get("email_verified")) == ("b@example.com", None)
