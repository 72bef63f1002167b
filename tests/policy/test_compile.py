"""Every problem at once, each with its place and what was probably meant."""

from __future__ import annotations

import pytest

from authz_sidecar.core.source_locations import StaticSourceMap
from authz_sidecar.errors import ConfigError
from authz_sidecar.policy import compile_policy
from tests.policy.requests import policy


def problems(document: object) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        policy(document)
    return [problem.message for problem in refused.value.problems]


def one(criterion: object) -> str:
    (message,) = problems({"allow": {"and": [criterion]}})
    return message.removeprefix("allow.and[0].")


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        pytest.param(
            {"emial": "a"}, "emial: unknown criterion `emial`: did you mean `email`?", id="mistyped"
        ),
        pytest.param(
            {"Email": "a"}, "Email: unknown criterion `Email`: did you mean `email`?", id="case"
        ),
        pytest.param(
            {"email": {"start_with": "a"}},
            "email.start_with: unknown string matcher operator `start_with`:"
            " did you mean `starts_with`?",
            id="operator",
        ),
        pytest.param(
            {"groups": {"in": ["a"]}},
            "groups.in: unknown string list matcher operator `in`: expected one of exclude, has, is",
            id="in is for strings",
        ),
        pytest.param(
            {"email": {"in": "a"}}, "email.in: `in` takes an array of strings", id="in a string"
        ),
        pytest.param(
            {"email": {"ends_with": 3}}, "email.ends_with: `ends_with` takes one string", id="type"
        ),
        pytest.param(
            {"http_path": {"matches": "^/a"}},
            "http_path.matches: `matches` always matches the whole value: leave out `^` and `$`",
            id="anchor",
        ),
        pytest.param(
            {"http_path": {"matches": "/a$"}},
            "http_path.matches: `matches` always matches the whole value: leave out `^` and `$`",
            id="anchor at the end",
        ),
        pytest.param(
            {"http_path": {"matches": "(a"}},
            "http_path.matches: `matches` is not a pattern: missing ): (a",
            id="pattern",
        ),
        pytest.param(
            {"http_path": {"matches": r"(a)\1"}},
            r"http_path.matches: `matches` is not a pattern: invalid escape sequence: \1",
            id="no back references in linear time",
        ),
        pytest.param(
            {"http_path": {"matches": "(a{1000}){1000}"}},
            "http_path.matches: `matches` is not a pattern: invalid repetition size: {1000}",
            id="pattern of death",
        ),
        pytest.param(
            {"http_path": {"matches": "a" * 1001}},
            "http_path.matches: `matches` is a pattern of more than 1000 characters",
            id="long pattern",
        ),
        pytest.param(
            {"claim": "x"},
            "claim: `claim` needs the name of a claim: `claim/department`",
            id="claim",
        ),
        pytest.param(
            {"source_ip": ["10.0.0.0/8", "10.0.0.0/33"]},
            "source_ip[1]: `10.0.0.0/33` is neither an address nor a network such as `10.0.0.0/8`",
            id="network",
        ),
        pytest.param(
            {"date": {"after": "tomorrow"}},
            "date.after: `tomorrow` is not a date such as `2026-03-05T08:00:00Z`",
            id="date",
        ),
        pytest.param(
            {"date": {"after": "2026-03-05", "before": "2026-03-05"}},
            "date: never holds: `before` is not later than `after`",
            id="no time between",
        ),
        pytest.param({"date": {}}, "date: needs `after` or `before`", id="date without bounds"),
        pytest.param(
            {"day_of_week": "mon-fry"},
            "day_of_week: `fry` is not a day of the week such as `mon` or `monday`",
            id="day",
        ),
        pytest.param(
            {"time_of_day": {"after": "9:00"}}, "time_of_day: needs `timezone`", id="zone"
        ),
        pytest.param(
            {"time_of_day": {"after": "25:00", "timezone": "UTC"}},
            "time_of_day.after: `25:00` is not a time such as `15:04` or `3:04 PM`",
            id="hour",
        ),
        pytest.param(
            {"time_of_day": {"after": "9", "timezone": "UTC"}},
            "time_of_day.after: `9` is not a time such as `15:04` or `3:04 PM`",
            id="bare number",
        ),
        pytest.param(
            {"time_of_day": {"after": "9:00", "timezone": "Mars/Olympus"}},
            "time_of_day.timezone: unknown time zone `Mars/Olympus`",
            id="unknown zone",
        ),
        pytest.param(
            {"time_of_day": {"after": "9:00", "before": "9:00", "timezone": "UTC"}},
            "time_of_day: never holds: `after` and `before` are the same",
            id="no time of day",
        ),
        pytest.param(
            {"time_of_day": {"before": "0:00", "timezone": "UTC"}},
            "time_of_day: never holds: no time of a day is before midnight",
            id="before every time of day",
        ),
        *(
            pytest.param(
                {"authentication": {"max_age": age}},
                "authentication.max_age: takes a duration such as `30m` or `1h30m`",
                id=f"age {name}",
            )
            for name, age in {
                "in words": "soon",
                "of nothing": "0s",
                "empty": "",
                "endless": f"{'9' * 5000}s",
                "beyond all numbers": 10**400,
                "infinite": float("inf"),
                "before": -1,
                "true": True,
            }.items()
        ),
        pytest.param(
            {"authentication": {"amr": []}},
            "authentication.amr: takes a string or an array of strings",
            id="no methods",
        ),
        pytest.param(
            {"authentication": {"max_ages": 3}},
            "authentication.max_ages: unknown condition `max_ages`: did you mean `max_age`?",
            id="condition",
        ),
        pytest.param(
            {"client_certificate": {"san_dns": {"iss": "a"}}},
            "client_certificate.san_dns.iss: unknown string matcher operator `iss`:"
            " did you mean `is`?",
            id="inner matcher",
        ),
        pytest.param(
            {"record": {"type": "hosts", "field": "site"}},
            "record: needs an operator: `is`, `exists`, `>=`, …",
            id="record without operator",
        ),
        pytest.param(
            {"record": {"type": "hosts", "field": "site", ">=": "3"}},
            "record.>=: `>=` takes a number",
            id="record with a wrong operand",
        ),
        pytest.param(
            {"device": {}},
            "device: `device` works only in `policy eval`: no adapter delivers what it compares",
            id="no transport",
        ),
        pytest.param(
            {"http_header": "a"},
            "http_header: `http_header` needs the name of a header: `http_header/x-team`",
            id="header",
        ),
        pytest.param(
            {"query": "a"}, "query: `query` needs the name of a parameter: `query/tab`", id="query"
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(criterion: object, message: str) -> None:
    assert one(criterion) == message


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(
            3, ["a policy is an object with `allow` or `deny`, or an array of them"], id="number"
        ),
        pytest.param([[]], ["[0]: a rule is an object with `allow` or `deny`"], id="nested array"),
        pytest.param(
            {"alow": {}}, ["alow: unknown action `alow`: did you mean `allow`?"], id="action"
        ),
        pytest.param(
            {"allow": []},
            ["allow: takes an object with `and`, `or`, `not` or `nor`"],
            id="rule in an array",
        ),
        pytest.param(
            {"allow": {"nand": []}},
            ["allow.nand: unknown operator `nand`: did you mean `and`?"],
            id="operator",
        ),
        pytest.param(
            {"allow": {"and": {}}}, ["allow.and: takes an array of criteria"], id="not an array"
        ),
        pytest.param(
            {"allow": {"and": [{}, {"accept": 1, "reject": 1}, "accept"]}},
            [
                "allow.and[0]: a criterion has exactly one key, this has 0",
                "allow.and[1]: a criterion has exactly one key, this has 2",
                "allow.and[2]: a criterion is an object with one key",
            ],
            id="criteria",
        ),
        pytest.param(
            {"allow": {"and": [{"or": []}]}},
            ["allow.and[0].or: unknown criterion `or`: expected one of"],
            id="operators do not nest",
        ),
        pytest.param(
            {"allow": {"or": [], "unavailable": "allow"}},
            ["allow.unavailable: can only be `deny`"],
            id="what an unavailable fact means",
        ),
    ],
)
def test_a_document_that_is_no_policy(document: object, expected: list[str]) -> None:
    found = problems(document)
    assert len(found) == len(expected)
    assert all(map(str.startswith, found, expected)), found


def test_all_problems_are_told_at_once_in_file_order() -> None:
    places = StaticSourceMap(
        file="authz.yaml",
        locations={
            ("policies", "p", 0): ("authz.yaml", 4, 5),
            ("policies", "p", 1): ("authz.yaml", 9, 5),
        },
    )
    document = [{"allow": {"and": [{"emial": "a"}], "xor": []}}, {"dney": {}}]
    with pytest.raises(ConfigError) as refused:
        compile_policy(document, source_map=places, source_path=("policies", "p"))
    assert [str(problem)[:20] for problem in refused.value.problems] == [
        "authz.yaml:4:5: poli",
        "authz.yaml:4:5: poli",
        "authz.yaml:9:5: poli",
    ]
