from __future__ import annotations

import pytest
from hypothesis import given

from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.source_locations import format_path
from authz_sidecar.policy.lint import CODES, find_lint, is_ignored
from tests.policy.test_properties import DOCUMENTS, JSON


def found(text: str) -> list[str]:
    return [
        f"{code} {format_path(path)}"
        for code, path in find_lint(parse_yaml(text, file="p").data, root_path=())
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("allow: {and: [{user: a}], not: [{user: b}]}", ["AZ101 allow"]),
        ("allow: {nor: [{user: a}]}", ["AZ102 allow.nor"]),
        ("allow: {or: [{email: [a, b]}]}", ["AZ103 allow.or[0].email"]),
        ("allow: {or: [{claim/a: [b]}]}", ["AZ103 allow.or[0].claim/a"]),
        ("allow: {or: [{groups: {has: [b]}}]}", ["AZ103 allow.or[0].groups"]),
        ("allow: {or: [{user: {is: [b]}}]}", ["AZ103 allow.or[0].user"]),
        ("allow: {or: [{groups: {is: b}}]}", ["AZ104 allow.or[0].groups"]),
        ("deny: {or: [{reject: true}]}", ["AZ105 deny.or[0].reject"]),
        ("allow: {and: []}", ["AZ106 allow.and"]),
        ("- allow: {}", ["AZ106 [0].allow"]),
        ("allow: {or: [{email: {}}]}", ["AZ107 allow.or[0].email"]),
        ("allow: {or: [{claim/x: {}}]}", ["AZ107 allow.or[0].claim/x"]),
        ("allow: {or: [{user: {not: a}}, {user: {not: b}}]}", ["AZ108 allow.or[1].user"]),
        ("allow: {or: [{http_path: {starts_with: /a}}]}", ["AZ109 allow.or[0].http_path.starts_with"]),
        ("allow: {or: [{claim/x: 1}, {user: 1}]}", ["AZ110 allow.or[1].user"]),
        ("allow: {or: [{user: {in: [a, 1]}}]}", ["AZ110 allow.or[0].user"]),
        ("allow: {or: [{accept: false}]}", ["AZ111 allow.or[0].accept"]),
        ("allow: {or: [{domain: {ends_with: a.com}}]}", ["AZ112 allow.or[0].domain.ends_with"]),
        ("deny: {not: [{email: {ends_with: a.com}}]}", ["AZ112 deny.not[0].email.ends_with"]),
        ("allow: {or: [{domain: '@a.com'}]}", ["AZ113 allow.or[0].domain"]),
        ("deny: {or: [{http_method: {in: [GET, post]}}]}", ["AZ113 deny.or[0].http_method"]),
        ("deny: {or: [{http_path: admin}]}", ["AZ113 deny.or[0].http_path"]),
        ("deny: {or: [{http_path: {starts_with: '/a%20b/'}}]}", ["AZ113 deny.or[0].http_path"]),
        ("deny: {or: [{http_path: {is: '/a?b=c'}}]}", ["AZ113 deny.or[0].http_path"]),
        ("deny: {or: [{http_path: {is: '/a%2Fb'}}]}", ["AZ113 deny.or[0].http_path"]),
    ],
)  # fmt: skip
def test_findings(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "allow: {and: [{user: a}]}",
        "- {allow: {or: [{user: {in: [a, b]}}, {groups: {has: b}}]}}",
        "deny: {or: [{http_path: {starts_with: /admin}}, {accept: 1}]}",
        "allow: {or: [{http_path: {starts_with: /a/}}, {user: {not: a}}, {email: {not: b}}]}",
        "allow: {and: [{user: {not: a}}, {user: {not: b}}]}",
        "allow: {or: [{source_ip: [10.0.0.0/8]}]}",
        "allow: {or: [{email: {ends_with: '@a.com'}}, {domain: {ends_with: .a.com}}]}",
        "deny: {or: [{email: {ends_with: a.com}}]}",
        "deny: {or: [{http_path: {in: [/, /a, '/a%2fb', '/100%', '/ä b']}}, {http_method: GET}]}",
        "deny: {or: [{http_path: {contains: '%20'}}, {http_path: {ends_with: x}}]}",
    ],
)
def test_nothing_to_find(text: str) -> None:
    assert found(text) == []


@given(document=DOCUMENTS | JSON)
def test_every_finding_is_in_the_catalogue(document: object) -> None:
    assert {each.code for each in find_lint(document, root_path=("policies", "p"))} <= CODES.keys()


@pytest.mark.parametrize(
    ("text", "line", "ignored"),
    [
        ("a  # lint: ignore[AZ101]", 1, True),
        ("# lint: ignore[AZ101]\na", 2, True),
        ("a #lint:ignore[AZ103, AZ101]", 1, True),
        ("a  # because of x; lint: ignore[AZ101]", 1, False),
        ("a  # lint: ignore[AZ102]", 1, False),
        ("b  # lint: ignore[AZ101]\na", 2, False),
        ("a\n# lint: ignore[AZ101]", 1, False),
        ("a", 0, False),
        ("a", 9, False),
    ],
)
def test_comments(text: str, line: int, ignored: bool) -> None:  # noqa: FBT001
    lines = {"f": text.split("\n")}
    assert is_ignored("AZ101", file="f", line=line, lines=lines.__getitem__) is ignored
