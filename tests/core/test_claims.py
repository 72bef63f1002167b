"""What a path points to, with names of both kinds: with dots and without."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.claims import candidate_claim_names, find_claim

ROLES = {"resource_access": {"my.app": {"roles": [1]}, "my": {"app": {"roles": [2]}}}}


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        pytest.param({"a": 1}, "a", 1, id="a name"),
        pytest.param({}, "a", None, id="nothing"),
        pytest.param({"a": {"b": {"c": 1}}}, "a.b.c", 1, id="a path"),
        pytest.param({"a": {"b": 1}}, "a.b.c", None, id="a path that ends early"),
        pytest.param({"a": [{"b": 1}]}, "a.b", None, id="not into lists"),
        pytest.param({"https://x.test/a.b": 1}, "https://x.test/a.b", 1, id="a name with dots"),
        pytest.param({"k.io": {"n": {"m": 1}}}, "k.io.n.m", 1, id="a path into such a name"),
        pytest.param({"k": {"x.y": {"z": 1}}}, "k.x.y.z", 1, id="such a name further inside"),
        pytest.param({"a.b": 1, "a": {"b": 2}}, "a.b", 1, id="the whole name counts first"),
        pytest.param({"a.b": None, "a": {"b": 2}}, "a.b", None, id="whatever it holds"),
        pytest.param(
            {"a.b": {"c": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 1, id="then the longest name"
        ),
        pytest.param(
            {"a.b": {"x": 1}, "a": {"b": {"c": 2}}}, "a.b.c", None, id="and no shorter one"
        ),
        pytest.param(
            {"a.b": "text", "a": {"b": {"c": 2}}}, "a.b.c", 2, id="of what can be looked into"
        ),
        pytest.param({"a": {"": 1}}, "a.", 1, id="an empty part"),
        pytest.param({"a": {"b": 1}}, "/a/b", None, id="no other separator"),
    ],
)
def test_a_path_leads_to_one_claim(claims: dict[str, object], path: str, found: object) -> None:
    assert find_claim(claims, path) == found


@pytest.mark.parametrize(
    ("client_id", "found"),
    [
        pytest.param("my.app", [1], id="dots and all"),
        pytest.param("my", None, id="another client"),
        pytest.param(None, None, id="not given"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_part_may_stand_for_the_client(client_id: str | None, found: object) -> None:
    assert find_claim(ROLES, "resource_access.{client_id}.roles", client_id=client_id) == found


def test_without_a_client_its_name_is_a_name() -> None:
    assert find_claim({"{client_id}": 1}, "{client_id}") == 1
    assert find_claim({"x{client_id}": 1}, "x{client_id}", client_id="c") == 1, "only a whole part"


def test_what_a_path_can_lead_into_is_known_without_the_claims() -> None:
    assert candidate_claim_names("a.b.c") == {"a", "a.b", "a.b.c"}
    assert candidate_claim_names("a.{client_id}", client_id="x.y") == {"a", "a.x.y"}


PLAIN = st.text("abc", max_size=2)
DOTTED = st.text("ab.", max_size=4)


def nested(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, object]]:
    values: st.SearchStrategy[object] = st.recursive(
        st.integers(), lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8
    )
    return st.dictionaries(names, values, max_size=4)


@given(claims=nested(PLAIN), parts=st.lists(PLAIN, min_size=1, max_size=4))
def test_where_no_name_has_a_dot_a_path_is_its_steps(
    claims: dict[str, object], parts: list[str]
) -> None:
    value: object = claims
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    assert find_claim(claims, ".".join(parts)) == value


@given(claims=nested(DOTTED), path=DOTTED)
def test_without_what_a_path_can_lead_into_it_leads_nowhere(
    claims: dict[str, object], path: str
) -> None:
    along = candidate_claim_names(path)
    rest = {name: value for name, value in claims.items() if name not in along}
    assert find_claim(rest, path) is None
