"""What upstream's vectors do not cover: our extensions, and what our identities look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import Allow
from authz_sidecar.policy import Context, decide
from authz_sidecar.policy.records import static_tables
from tests.policy.requests import ANN, NOW, allow, request

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest


def passes(criterion: object, asked: CheckRequest | None = None, **known: Any) -> bool:
    who = known.pop("who", ANN)
    now = known.pop("now", NOW)
    found = decide(allow(criterion), asked or request(), who, now=now, **known)
    return isinstance(found, Allow)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/reports/2026", True, id="whole"),
        pytest.param("/reports/%32026", True, id="decoded"),
        pytest.param("/reports/2026/x", False, id="anchored at the end"),
        pytest.param("/x/reports/2026", False, id="anchored at the beginning"),
        pytest.param("/reports/2026\n", False, id="no newline at the end"),
        pytest.param("/reports/%ff", False, id="bytes that are no text"),
    ],
)
def test_patterns_match_the_whole_value(path: str, expected: bool) -> None:  # noqa: FBT001
    pattern = {"http_path": {"matches": "/reports/[0-9]+"}}
    assert passes(pattern, request(path=path)) is expected


def test_a_pattern_of_death_is_answered_at_once() -> None:
    assert not passes({"http_path": {"matches": "(a*)*b"}}, request(path="/" + "a" * 50_000))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/a%20b", True, id="escapes are decoded"),
        pytest.param("/a b", True, id="or were already"),
        pytest.param("/a%2520b", False, id="once"),
    ],
)
def test_paths_are_compared_decoded(path: str, expected: bool) -> None:  # noqa: FBT001
    assert passes({"http_path": "/a b"}, request(path=path)) is expected


def test_an_escaped_separator_is_data() -> None:
    assert not passes({"http_path": {"starts_with": "/a/b"}}, request(path="/a%2Fb"))
    assert passes({"http_path": "/a%2fb"}, request(path="/a%2Fb"))


@pytest.mark.parametrize(
    ("criterion", "headers", "expected"),
    [
        pytest.param({"http_header/X-Team": "a"}, (("x-team", "a"),), True, id="any letter case"),
        pytest.param({"http_header/x-team": "b"}, (("x-team", "a"),), False, id="other value"),
        pytest.param({"http_header/x-team": {"not": "b"}}, (), False, id="absent is no match"),
        pytest.param({"http_header/x-team": {"not": "b"}}, (("x-team", ""),), True, id="empty"),
    ],
)
def test_headers(criterion: object, headers: Any, expected: bool) -> None:  # noqa: FBT001
    assert passes(criterion, request(headers=headers)) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("tab=a+b", True, id="plus is a space"),
        pytest.param("x=1&tab=a%20b", True, id="escapes"),
        pytest.param("t%61b=a%20b", True, id="escaped name"),
        pytest.param("tab=a", False, id="other value"),
        pytest.param("tab", False, id="no value"),
        pytest.param("", False, id="empty"),
        pytest.param(None, False, id="none"),
        pytest.param("x=;&tab=a+b", True, id="a separator that changes nothing"),
    ],
)
def test_parameters(query: str | None, expected: bool) -> None:  # noqa: FBT001
    assert passes({"query/tab": "a b"}, request(query=query)) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({"max_age": "11m"}, True, id="young enough"),
        pytest.param({"max_age": "10m"}, False, id="just too old"),
        pytest.param({"max_age": 601}, True, id="seconds"),
        pytest.param({"acr": "2fa"}, True, id="acr"),
        pytest.param({"acr": ["3fa", "2fa"]}, True, id="any acr"),
        pytest.param({"acr": "3fa"}, False, id="other acr"),
        pytest.param({"amr": "otp"}, True, id="a method"),
        pytest.param({"amr": ["otp", "pwd"]}, True, id="all methods"),
        pytest.param({"amr": ["otp", "hwk"]}, False, id="one method missing"),
        pytest.param({"max_age": "1h", "acr": "2fa", "amr": "otp"}, True, id="all"),
    ],
)
def test_authentication(data: object, expected: bool) -> None:  # noqa: FBT001
    assert passes({"authentication": data}) is expected


def test_a_sign_in_of_unknown_age_is_too_old() -> None:
    unknown = replace(ANN, authenticated_at=None)
    assert not passes({"authentication": {"max_age": "1d"}}, who=unknown)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        pytest.param({"claim/department": "it"}, True, id="one value is a list of one"),
        pytest.param({"claim/department": {"is": "it"}}, True, id="exactly one"),
        pytest.param({"claim/address/country": "NZ"}, True, id="nested"),
        pytest.param({"claim/address.country": "NZ"}, True, id="dotted"),
        pytest.param({"claim/address": {"exclude": "NZ"}}, True, id="an object is no value"),
        pytest.param({"claim/level": 3.0}, True, id="numbers by value"),
        pytest.param({"claim/level": "3"}, False, id="types strictly"),
        pytest.param({"claim/department/x": "it"}, False, id="through a value"),
    ],
)
def test_claims(criterion: object, expected: bool) -> None:  # noqa: FBT001
    assert passes(criterion) is expected


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("criterion", "when", "expected"),
    [
        pytest.param({"day_of_week": "fri-mon"}, "2026-03-01T12:00", True, id="around the week"),
        pytest.param({"day_of_week": "fri-mon"}, "2026-03-03T12:00", False, id="not inside"),
        pytest.param({"day_of_week": "mon, Wed"}, "2026-03-04T12:00", True, id="list"),
        pytest.param({"day_of_week": "*"}, "2026-03-04T12:00", True, id="every day"),
        pytest.param(
            {"day_of_week": {"days": "thu", "timezone": "Pacific/Auckland"}},
            "2026-03-04T12:00",
            True,
            id="day elsewhere",
        ),
        pytest.param(
            {"time_of_day": {"after": "22:00", "before": "6:00 AM", "timezone": "UTC"}},
            "2026-03-04T23:00",
            True,
            id="before midnight",
        ),
        pytest.param(
            {"time_of_day": {"after": "22:00", "before": "6:00 AM", "timezone": "UTC"}},
            "2026-03-04T05:59",
            True,
            id="after midnight",
        ),
        pytest.param(
            {"time_of_day": {"after": "10PM", "before": "6AM", "timezone": "UTC"}},
            "2026-03-04T06:00",
            False,
            id="before is not included",
        ),
        pytest.param(
            {"time_of_day": {"after": "12:30 PM", "timezone": "UTC"}},
            "2026-03-04T12:30",
            True,
            id="after is included",
        ),
        pytest.param(
            {"time_of_day": {"after": "10 PM", "before": "12 AM", "timezone": "UTC"}},
            "2026-03-04T23:59",
            True,
            id="until midnight",
        ),
        pytest.param(
            {"time_of_day": {"after": "10 PM", "before": "12 AM", "timezone": "UTC"}},
            "2026-03-04T00:00",
            False,
            id="midnight",
        ),
        pytest.param(
            {"time_of_day": {"after": "09:00", "before": "10:00", "timezone": "Europe/Berlin"}},
            "2026-07-01T07:30",
            True,
            id="summer time",
        ),
        pytest.param(
            {"date": {"after": "2026-03-05", "timezone": "Pacific/Auckland"}},
            "2026-03-04T12:00",
            True,
            id="date elsewhere",
        ),
        pytest.param(
            {"date": {"before": "2026-03-04T12:00:00+00:00"}},
            "2026-03-04T12:00",
            False,
            id="until then, not then",
        ),
    ],
)
def test_time(criterion: object, when: str, expected: bool) -> None:  # noqa: FBT001
    assert passes(criterion, now=at(when)) is expected


TABLES = static_tables(
    users={"staff": {"u1": {"country": "NZ", "level": 3, "tags": ["a", "b"], "active": True}}},
    networks={"hosts": {"10.0.0.0/8": {"site": "a"}, "10.1.2.0/24": {"site": "b"}}},
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({"field": "country", "is": "NZ"}, True, id="is"),
        pytest.param({"field": "country", "in": ["US", "NZ"]}, True, id="in"),
        pytest.param({"field": "country", "not": "US"}, True, id="not"),
        pytest.param({"field": "level", ">=": 3}, True, id="at least"),
        pytest.param({"field": "level", ">=": 2, "<": 3}, False, id="all operators"),
        pytest.param({"field": "level", "=": 3.0}, True, id="number"),
        pytest.param({"field": "active", "=": 1}, False, id="types strictly"),
        pytest.param({"field": "active", ">": 0}, False, id="truth is no number"),
        pytest.param({"field": "tags", "has": "b"}, True, id="list"),
        pytest.param({"field": "tags", "exclude": "b"}, False, id="list excludes"),
        pytest.param({"field": "missing", "exists": False}, True, id="missing field"),
        pytest.param({"field": "missing", "not": "US"}, False, id="missing satisfies nothing"),
        pytest.param({"field": "country", "exists": True}, True, id="field"),
    ],
)
def test_records_of_users(data: dict[str, object], expected: bool) -> None:  # noqa: FBT001
    criterion = {"record": {"type": "staff", **data}}
    assert passes(criterion, context=Context(records=TABLES)) is expected


@pytest.mark.parametrize(
    ("client", "site"),
    [
        pytest.param("10.9.9.9", "a", id="network"),
        pytest.param("10.1.2.3", "b", id="the narrowest network"),
        pytest.param("::ffff:10.1.2.3", "b", id="in IPv6 clothes"),
    ],
)
def test_records_of_addresses(client: str, site: str) -> None:
    criterion = {"record": {"type": "hosts", "by": "address", "field": "site", "is": site}}
    assert passes(criterion, request(client=client), context=Context(records=TABLES))


def test_records_that_are_not_there() -> None:
    criterion = {"record": {"type": "staff", "field": "country", "is": "NZ"}}
    assert not passes(criterion)
    assert not passes(criterion, who=replace(ANN, subject="u2"), context=Context(records=TABLES))
    unrecorded = {"record": {"type": "staff", "field": "country", "exists": False}}
    u2 = replace(ANN, subject="u2")
    assert passes(unrecorded, who=u2, context=Context(records=TABLES))
    unknown = {"record": {"type": "none", "field": "country", "exists": False}}
    assert not passes(unknown, context=Context(records=TABLES))


@pytest.mark.parametrize("now", [-1e300, -1e15, 1e15, 1e300])
@pytest.mark.parametrize(
    "criterion",
    [
        {"day_of_week": {"days": "mon-sun", "timezone": "Pacific/Kiritimati"}},
        {"time_of_day": {"after": "00:00", "timezone": "Pacific/Kiritimati"}},
    ],
)
def test_no_time_is_too_far_away(criterion: dict[str, object], now: float) -> None:
    assert passes(criterion, now=now)
