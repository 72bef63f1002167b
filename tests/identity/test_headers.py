from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.core.urls import Origin
from authz_sidecar.identity.groups import AllGroups, filter_by_names
from authz_sidecar.identity.headers import PRESETS, IdentityHeaders, managed_header_names

ORIGIN = Origin("https", "app.example.com")
ALICE = Identity(
    provider="corp",
    issuer="https://idp.example.com",
    subject="u1",
    email="alice@example.com",
    name="Alice Adams",
    groups=("eng", "a,b"),
    claims={
        "department": "it",
        "roles": ["x", "y,z", "é"],
        "level": 3,
        "manager": True,
        "address": {"country": "NZ"},
        "nothing": None,
        "blank": "",
    },
)


def session(identity: Identity = ALICE) -> Session:
    return Session(
        public_id="h1",
        kind=SessionKind.SIGN_IN,
        scope="https://app.example.com",
        identity=identity,
        created_at=0,
        expires_at=10,
    )


def headers(preset: str = "default", **claims: str) -> IdentityHeaders:
    return IdentityHeaders(
        preset=preset,
        claims={name.replace("_", "-"): claim for name, claim in claims.items()},
        group_filter=AllGroups(),
        assertion_for=lambda session, origin: f"signed.{session.public_id}.{origin.host}",
    )


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (
            "default",
            {
                "x-auth-user": "u1",
                "x-auth-email": "alice@example.com",
                "x-auth-groups": "eng,a%2Cb",
                "x-auth-name": "Alice Adams",
                "x-auth-assertion": "signed.h1.app.example.com",
            },
        ),
        (
            "pomerium",
            {
                "x-pomerium-claim-user": "u1",
                "x-pomerium-claim-email": "alice@example.com",
                "x-pomerium-claim-groups": "eng,a%2Cb",
                "x-pomerium-claim-name": "Alice Adams",
                "x-pomerium-jwt-assertion": "signed.h1.app.example.com",
            },
        ),
        (
            "oauth2-proxy",
            {
                "x-auth-request-user": "u1",
                "x-auth-request-email": "alice@example.com",
                "x-auth-request-groups": "eng,a%2Cb",
                "x-auth-request-preferred-username": "Alice Adams",
            },
        ),
        (
            "authelia",
            {
                "remote-user": "u1",
                "remote-email": "alice@example.com",
                "remote-groups": "eng,a%2Cb",
                "remote-name": "Alice Adams",
            },
        ),
    ],
)
def test_presets(preset: str, expected: dict[str, str]) -> None:
    assert dict(headers(preset).render(session(), ORIGIN)) == expected
    assert {name.lower() for name in headers(preset).managed_names} == set(expected)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        pytest.param("department", "it", id="text"),
        pytest.param("roles", "x,y%2Cz,%C3%A9", id="list"),
        pytest.param("level", "3", id="number"),
        pytest.param("manager", "true", id="truth"),
        pytest.param("address", None, id="structure"),
        pytest.param("nothing", None, id="null"),
        pytest.param("blank", None, id="empty"),
        pytest.param("absent", None, id="absent"),
    ],
)
def test_configured_claims(claim: str, expected: str | None) -> None:
    rendered = dict(headers(X_Claim=claim).render(session(), ORIGIN))
    assert rendered.get("x-claim") == expected


def test_nothing_is_ever_empty() -> None:
    bare = Identity(provider="corp", issuer="https://idp.example.com", subject="u2")
    rendered = dict(headers(X_Department="department").render(session(bare), ORIGIN))
    assert set(rendered) == {"x-auth-user", "x-auth-assertion"}


def test_what_is_not_set_is_cleared_under_every_spelling() -> None:
    bare = replace(ALICE, email=None, groups=())
    known = headers(X_Department="department")
    rendered = known.render(session(bare), ORIGIN)
    cleared = known.headers_to_remove(rendered)
    assert {"x-auth-email", "x_auth_email", "x.auth.email", "x_auth_user"} <= set(cleared)
    assert "x-auth-groups" in cleared
    assert "x_department" in cleared
    assert not set(cleared) & {name for name, _ in rendered}
    assert len(set(cleared)) == len(cleared)
    assert set(known.headers_to_remove(())) >= {name.lower() for name in known.managed_names}


def test_a_claim_may_take_the_place_of_a_header_of_the_preset() -> None:
    known = headers(x_auth_user="department")
    rendered = known.render(session(), ORIGIN)
    assert [value for name, value in rendered if name == "x-auth-user"] == ["it"]


def test_every_name_is_managed() -> None:
    names = managed_header_names("authelia", {"X-Department": "department"})
    assert names == (*PRESETS["authelia"], "X-Department")


def test_groups_are_chosen_for_the_host() -> None:
    known = replace(headers(), group_filter=filter_by_names(("eng", "other")))
    assert dict(known.render(session(), ORIGIN))["x-auth-groups"] == "eng"


@given(text=st.text(min_size=1, max_size=30), groups=st.lists(st.text(max_size=10), max_size=4))
def test_whatever_a_provider_says_can_be_sent(text: str, groups: list[str]) -> None:
    odd = replace(
        ALICE, subject=text, name=text, groups=tuple(groups), claims={"x": [text, text], "y": text}
    )
    rendered = headers(X_List="x", X_Text="y").render(session(odd), ORIGIN)
    assert len({name for name, _ in rendered}) == len(rendered)
    for _, value in rendered:
        assert value
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
