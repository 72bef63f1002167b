"""Which header names could be taken for which, by the grammar of RFC 9110 section 5.6.2."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.header_names import ProtectedNames, canonical_name
from authz_sidecar.core.untrusted_headers import (
    UNTRUSTED_FAMILIES,
    UNTRUSTED_NAMES,
    UNTRUSTED_PREFIXES,
    removed_names,
)
from tests.header_names import SEPARATORS, respelled

MANAGED = ("X-Auth-User", "X-Department")
PROTECTED = ProtectedNames(MANAGED)
TOKENS = st.text(alphabet=string.ascii_letters + string.digits + "-" + SEPARATORS, min_size=1)


@pytest.mark.parametrize("separator", SEPARATORS)
def test_every_other_spelling_of_a_protected_name_is_ambiguous(separator: str) -> None:
    for name in (
        *MANAGED,
        *UNTRUSTED_NAMES,
        *(f"{prefix}Anything" for prefix in UNTRUSTED_PREFIXES),
    ):
        assert not PROTECTED.is_ambiguous(name)
        assert not PROTECTED.is_ambiguous(name.lower())
        for other in respelled(name, separator):
            assert PROTECTED.is_ambiguous(other), other
            assert PROTECTED.is_ambiguous(other.upper()), other


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("X_Team", id="of no protected name"),
        pytest.param("X.Team.Auth-User", id="that ends like one"),
        pytest.param("X_Auth", id="of a part of one"),
        pytest.param("XAuth.User", id="with a separator less"),
        pytest.param("X--Auth-User", id="with a hyphen more"),
        pytest.param("X_Forwarded", id="of no member of a family"),
        pytest.param("Accept", id="plain"),
        pytest.param("", id="empty"),
    ],
)
def test_other_names_are_what_they_are(name: str) -> None:
    assert not PROTECTED.is_ambiguous(name)


def test_a_byte_beyond_ascii_separates_too() -> None:
    assert PROTECTED.is_ambiguous("X\xe9Auth\xffUser")
    assert canonical_name("X\xc9") == "x-"


def test_the_first_ambiguous_header_is_named() -> None:
    assert PROTECTED.find_ambiguous(
        (("accept", "a"), ("x.department", "b"), ("x_auth_user", "c"))
    ) == ("x.department")
    assert PROTECTED.find_ambiguous((("x-department", "a"), ("x.other", "b"))) is None


@given(TOKENS)
def test_what_servers_fold_into_one_variable_is_one_name(name: str) -> None:
    """RFC 3875 section 4.1.18, as the least careful server does it."""

    def variable(name: str) -> str:
        return "HTTP_" + "".join(char if char.isalnum() else "_" for char in name.upper())

    folded = variable(name)
    meant = [known for known in (*MANAGED, *UNTRUSTED_NAMES) if variable(known) == folded]
    of_a_family = folded.startswith(tuple(map(variable, UNTRUSTED_PREFIXES)))
    plain = not set(name) & set(SEPARATORS)
    assert PROTECTED.is_ambiguous(name) is (not plain and (bool(meant) or of_a_family))


@given(TOKENS)
def test_a_name_has_one_canonical_form(name: str) -> None:
    assert (
        canonical_name(canonical_name(name))
        == canonical_name(name)
        == canonical_name(name.swapcase())
    )


def test_the_list_is_sound() -> None:
    folded = [canonical_name(name) for name in UNTRUSTED_NAMES]
    assert len(set(folded)) == len(folded)
    assert all(
        canonical_name(name) == name.lower() for name in (*UNTRUSTED_NAMES, *UNTRUSTED_PREFIXES)
    )
    assert all(prefix.endswith("-") for prefix in UNTRUSTED_PREFIXES)
    assert len({family.title for family in UNTRUSTED_FAMILIES}) == len(UNTRUSTED_FAMILIES)


def test_what_the_operator_manages_is_not_removed() -> None:
    removed = removed_names(("remote-user", "X-Department"))
    assert "Remote-User" not in removed
    assert set(removed) == set(UNTRUSTED_NAMES) - {"Remote-User"}
