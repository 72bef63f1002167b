from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.source_locations import unknown_locations
from authz_sidecar.policy.test_cases import PolicyTestCase, parse_cases
from tests.policy.requests import NOW


def read(text: str) -> tuple[tuple[PolicyTestCase, ...], list[str]]:
    document = parse_yaml(text, file="t.yaml")
    problems: list[Any] = []
    cases = parse_cases(document.data, source_map=document.source_map, problems=problems)
    return cases, [str(problem) for problem in problems]


WHOLE = """\
cases:
  - name: ann reads
    request:
      url: https://app.example.com/a%20b?tab=1
      method: POST
      ip: 10.1.2.3
      at: 2026-03-04T12:00:00Z
      headers: {X-Team: blue, Accept: [a, b]}
    identity:
      user: u1
      email: ann@corp.test
      groups: [eng]
      claims: {level: 3}
      provider: corp
      signed_in_at: 2026-03-04T11:50:00
      acr: 2fa
      amr: otp
    expect: {verdict: allow, route: app, reasons: [groups-ok]}
"""


def test_everything_a_case_can_say() -> None:
    (case,), problems = read(WHOLE)
    assert problems == []
    assert (case.name, case.location, case.now) == ("ann reads", ("t.yaml", 2, 5), NOW)
    assert (case.request.method, case.request.url) == (
        "POST",
        "https://app.example.com/a%20b?tab=1",
    )
    assert case.request.headers == (("x-team", "blue"), ("accept", "a"), ("accept", "b"))
    assert str(case.request.client) == "10.1.2.3"
    who = case.identity
    assert who is not None
    assert (who.provider, who.subject, who.email, who.groups) == (
        "corp",
        "u1",
        "ann@corp.test",
        ("eng",),
    )
    assert (who.claims, who.authenticated_at, who.acr, who.amr) == (
        {"level": 3},
        NOW - 600,
        "2fa",
        ("otp",),
    )
    assert (case.expected.verdict, case.expected.route) == ("allow", "app")
    assert case.expected.reasons == {"groups-ok"}


def test_how_little_a_case_can_say() -> None:
    (case,), problems = read("- {request: 'https://app.example.com', expect: sign-in}")
    assert problems == []
    assert (case.name, case.identity, case.now) == ("GET https://app.example.com/", None, None)
    assert case.expected.verdict == "sign-in"
    assert case.expected.route is None


def test_a_url_as_people_write_it() -> None:
    (case,), _ = read("- {request: 'https://münchen.example/ä', expect: deny}")
    assert case.request.url == "https://xn--mnchen-3ya.example/%C3%A4"


CASE = "- {request: {url: 'https://a.example'}, expect: allow"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "t.yaml:1:1: holds no list of cases"),
        ("cases: []", "t.yaml:1:1: cases: holds no list of cases"),
        ("case: 1\ncases: [1]", "case: unknown key `case`: did you mean `cases`?"),
        ("- 1", "[0]: a case is an object with `request` and `expect`"),
        (f"{CASE}, nam: x}}", "unknown key `nam`: did you mean `name`?"),
        (f"{CASE}, name: 1}}", "[0].name: takes text, put it in quotes"),
        (f"{CASE}, identity: bob}}", "[0].identity: takes `none`, or an object"),
        (f"{CASE}, identity: {{mail: x}}}}", "unknown key `mail`: did you mean `email`?"),
        (f"{CASE}, identity: {{groups: [1]}}}}", "[0].identity.groups: takes a list of texts"),
        (f"{CASE}, identity: {{claims: []}}}}", "[0].identity.claims: takes an object of claims"),
        ("- {expect: allow}", "[0].request: takes an object with `url`"),
        ("- {request: {url: x}, expect: allow}", "`x` is no absolute url"),
        ("- {request: {url: 'https://a.example', ip: x}, expect: allow}", "`x` is not an address"),
        ("- {request: {url: 'https://a.example', at: x}, expect: allow}", "`x` is not a time"),
        ("- {request: {url: 'https://a.example', headers: x}, expect: allow}", "header names"),
        ("- {request: {url: 'https://a.example', headers: {a: 1}}, expect: allow}", "takes text"),
        ("- {request: {url: 'https://a.example'}}", "[0].expect: takes a verdict, or an object"),
        ("- {request: 'https://a.example', expect: alow}", "did you mean `allow`?"),
        ("- {request: 'https://a.example', expect: {reasons: [email-okay]}}",
         "unknown reason `email-okay`: did you mean `email-ok`?"),
        ("- {request: 'https://a.example', expect: {reason: x}}", "did you mean `reasons`?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_cases(text: str, complaint: str) -> None:
    _, problems = read(text)
    assert problems
    assert any(complaint in problem for problem in problems)
    assert problems[-1].startswith("t.yaml:")


WORDS = st.sampled_from(
    ["cases", "name", "request", "identity", "expect", "url", "headers", "claims", "groups", "at"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
)


@given(document=ANYTHING)
def test_no_document_breaks_the_reader(document: object) -> None:
    problems: list[Any] = []
    cases = parse_cases(document, source_map=unknown_locations("t"), problems=problems)
    assert cases or problems
