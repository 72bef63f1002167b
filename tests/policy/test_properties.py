"""What holds for every policy, request and person."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.types import (
    Allow,
    CheckRequest,
    ClientCertificate,
    Decision,
    Identity,
    RequestAttribute,
    step_up_of,
)
from authz_sidecar.core.urls import Origin
from authz_sidecar.errors import ConfigError
from authz_sidecar.policy import (
    Context,
    Policy,
    build_subject,
    decide,
    evaluate,
    partially_evaluate,
)
from authz_sidecar.policy.criteria import BUILDERS, WITHOUT_TRANSPORT
from authz_sidecar.policy.explain import explain
from authz_sidecar.policy.records import static_tables
from authz_sidecar.routes.explain_json import to_plain_json
from tests.policy.requests import NOW, policy

WORDS = st.sampled_from(["a", "b", "a@b", "b@a.b", "GET", "/a", "/a/b", "", "x/y"])
VALUES = WORDS | st.booleans() | st.integers(0, 3) | st.none()
STRING_MATCHERS = st.one_of(
    WORDS,
    st.dictionaries(st.sampled_from(["is", "not", "starts_with", "ends_with", "contains"]), WORDS),
    st.dictionaries(st.sampled_from(["in", "not_in"]), st.lists(WORDS, max_size=2)),
    st.just({"matches": "/a.*"}),
)
LIST_MATCHERS = VALUES | st.dictionaries(st.sampled_from(["has", "is", "exclude"]), VALUES)
TIMES = st.sampled_from(["00:00", "06:30", "12:00", "3:04 PM", "23:59:59"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"])

OF_STRINGS = ("user", "email", "domain", "http_method", "http_path", "query/q", "http_header/h")
OF_LISTS = ("groups", "claim/a", "claim/b/a", "claim/a.b")
OTHERS: list[dict[str, Any]] = [
    {"accept": 1},
    {"reject": 1},
    {"authenticated_user": 1},
    {"cors_preflight": 1},
    {"source_ip": "10.0.0.0/8"},
    {"source_ip": ["::/0", "192.168.0.1"]},
    {"client_certificate": {}},
    {"client_certificate": {"san_dns": {"not": "a"}}},
    {"invalid_client_certificate": 1},
    {"authentication": {"max_age": "1h"}},
    {"authentication": {"acr": "2fa", "amr": ["otp"]}},
    {"authentication": {"acr": ["3fa", "2fa"]}},
    {"authentication": {"max_age": "5m", "amr": "hwk"}},
    {"day_of_week": "fri-mon"},
    {"date": {"after": "2026-03-04T12:00:00Z"}},
    {"record": {"type": "t", "field": "f", "is": "a"}},
    {"record": {"type": "t", "by": "address", "field": "f", "exists": True}},
]
CRITERIA = st.one_of(
    *(st.fixed_dictionaries({name: STRING_MATCHERS}) for name in OF_STRINGS),
    *(st.fixed_dictionaries({name: LIST_MATCHERS}) for name in OF_LISTS),
    st.sampled_from(OTHERS),
    st.builds(
        lambda after, before, zone: {
            "time_of_day": {"after": after, "before": before, "timezone": zone}
        },
        TIMES,
        TIMES,
        ZONES,
    ).filter(lambda each: each["time_of_day"]["after"] != each["time_of_day"]["before"]),
)
OPERATORS = st.dictionaries(
    st.sampled_from(["and", "or", "not", "nor"]), st.lists(CRITERIA, max_size=3), max_size=2
)
RULES = st.dictionaries(st.sampled_from(["allow", "deny"]), OPERATORS)
DOCUMENTS = st.lists(RULES, max_size=4)

WHO = st.none() | st.builds(
    Identity,
    provider=st.sampled_from(["corp", "guests"]),
    issuer=st.just("https://idp.test"),
    subject=WORDS,
    email=st.none() | WORDS,
    groups=st.lists(WORDS, max_size=2).map(tuple),
    claims=st.dictionaries(
        st.sampled_from(["a", "b", "a.b"]),
        VALUES
        | st.lists(VALUES, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b"]), VALUES),
    ),
    authenticated_at=st.none() | st.floats(NOW - 7200, NOW),
    acr=st.none() | st.sampled_from(["2fa", "3fa"]),
    amr=st.sampled_from([(), ("otp",), ("hwk", "otp")]),
)
REQUESTS = st.builds(
    CheckRequest,
    adapter=st.just("test"),
    method=st.sampled_from(["GET", "POST", "OPTIONS"]),
    origin=st.just(Origin("https", "app.example.com")),
    path=st.sampled_from(["/", "/a", "/a/b", "/%61", "/a%2fb", "/%ff", "/%"]),
    query=st.none() | st.sampled_from(["", "q=a", "q=a&q=b", "q=%zz", "q=a;q=b"]),
    client=st.none() | st.ip_addresses(),
    headers=st.lists(
        st.tuples(st.sampled_from(["h", "origin", "access-control-request-method"]), WORDS),
        max_size=3,
    ).map(tuple),
    certificate=st.none()
    | st.builds(
        ClientCertificate,
        presented=st.booleans(),
        valid=st.booleans(),
        pem=st.none() | st.just("garbage"),
    ),
    attributes=st.sets(st.sampled_from(RequestAttribute)).map(frozenset),
)
CONTEXTS = st.sampled_from(
    [
        Context(),
        Context(
            records=static_tables(
                users={"t": {"a": {"f": "a"}}}, networks={"t": {"10.0.0.0/8": {"f": "a"}}}
            )
        ),
    ]
)
TIME = st.floats(NOW - 4e8, NOW + 4e8) | st.floats(-1e14, 1e14) | st.just(-1e-130)


def test_every_criterion_takes_part() -> None:
    names = [*OF_STRINGS, *OF_LISTS, "time_of_day", *(name for each in OTHERS for name in each)]
    assert {name.partition("/")[0] for name in names} == BUILDERS.keys() - WITHOUT_TRANSPORT


@given(document=DOCUMENTS, asked=REQUESTS, who=WHO, now=TIME, context=CONTEXTS)
def test_a_specialised_policy_decides_alike(
    document: object,
    asked: CheckRequest,
    who: Identity | None,
    now: float,
    context: Context,
) -> None:
    compiled = policy(document)
    expected = decide(compiled, asked, who, now=now, context=context)
    residual = partially_evaluate(compiled, who, now=now)
    assert residual.decide(asked, context=context) == expected
    assert residual.constant in (None, expected)


# Rules that ask how somebody signed in, on either side and under every operator.
STEPPING = st.lists(
    st.builds(
        lambda action, operator, criteria: {action: {operator: criteria}},
        st.sampled_from(["allow", "deny"]),
        st.sampled_from(["and", "or", "not", "nor"]),
        st.lists(
            st.sampled_from(
                [
                    *(each for each in OTHERS if "authentication" in each),
                    {"http_method": {"is": "GET"}},
                    {"groups": {"has": "a"}},
                ]
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=4,
)
SOMEBODY = WHO.filter(lambda who: who is not None)


@given(document=STEPPING, asked=REQUESTS, who=SOMEBODY, context=CONTEXTS, data=st.data())
def test_whoever_steps_up_as_asked_passes(
    document: object, asked: CheckRequest, who: Identity, context: Context, data: st.DataObject
) -> None:
    compiled = policy(document)
    decision = decide(compiled, asked, who, now=NOW, context=context)
    residual = partially_evaluate(compiled, who, now=NOW)
    assert residual.decide(asked, context=context) == decision
    assert explain(compiled, asked, who, now=NOW, context=context).decision == decision
    step_up = step_up_of(decision)
    if step_up is None:
        return
    assert not isinstance(evaluated(compiled, asked, who, context), Allow)
    stepped = replace(
        who,
        authenticated_at=NOW,
        acr=data.draw(st.sampled_from(step_up.acr or (None,))),
        amr=step_up.amr,
    )
    assert isinstance(decide(compiled, asked, stepped, now=NOW, context=context), Allow)


def evaluated(compiled: Policy, asked: CheckRequest, who: Identity, context: Context) -> Decision:
    """What the rules come to, whatever a sign-in might change."""
    subject = build_subject(who, qualified=compiled.qualified_users)
    raw = evaluate(compiled, asked, subject, now=NOW, context=context)
    return compiled.to_decision(raw.allow.outcome, raw.deny.outcome)


@given(document=DOCUMENTS, asked=REQUESTS, who=WHO, now=TIME, context=CONTEXTS)
def test_an_explanation_is_of_the_decision_that_was_made(
    document: object,
    asked: CheckRequest,
    who: Identity | None,
    now: float,
    context: Context,
) -> None:
    compiled = policy(document)
    explained = explain(compiled, asked, who, now=now, context=context)
    assert explained.decision == decide(compiled, asked, who, now=now, context=context)
    subject = build_subject(who, qualified=compiled.qualified_users)
    raw = evaluate(compiled, asked, subject, now=now, context=context)
    assert (explained.allow, explained.deny) == raw
    decisive = [rule for rule in explained.rules if rule.decisive]
    if isinstance(explained.decision, Allow):
        assert decisive
        assert all(rule.result.holds for rule in decisive)
    json.dumps(
        [to_plain_json(each.observed.value) for rule in explained.rules for each in rule.criteria]
    )


@given(
    document=DOCUMENTS, asked=REQUESTS, who=WHO, now=TIME, part=st.floats(0, 1, exclude_max=True)
)
def test_a_residual_holds_until_it_says(
    document: object, asked: CheckRequest, who: Identity | None, now: float, part: float
) -> None:
    compiled = policy(document)
    residual = partially_evaluate(compiled, who, now=now)
    assert residual.stable_until > now
    span = min(residual.stable_until, now + 1e9) - now
    later = min(now + span * part, math.nextafter(residual.stable_until, now))
    assert residual.decide(asked) == decide(compiled, asked, who, now=later)


@given(document=DOCUMENTS, asked=REQUESTS, who=WHO, now=TIME, data=st.data())
def test_order_says_nothing(
    document: list[dict[str, Any]],
    asked: CheckRequest,
    who: Identity | None,
    now: float,
    data: st.DataObject,
) -> None:
    shuffled = [
        {
            action: {
                operator: data.draw(st.permutations(criteria))
                for operator, criteria in data.draw(st.permutations(list(operators.items())))
            }
            for action, operators in data.draw(st.permutations(list(rules.items())))
        }
        for rules in data.draw(st.permutations(document))
    ]
    assert decide(policy(shuffled), asked, who, now=now) == decide(
        policy(document), asked, who, now=now
    )


@given(document=DOCUMENTS, more=OPERATORS, asked=REQUESTS, who=WHO, now=TIME)
def test_another_deny_never_lets_anybody_in(
    document: list[dict[str, Any]],
    more: object,
    asked: CheckRequest,
    who: Identity | None,
    now: float,
) -> None:
    stricter = decide(policy([*document, {"deny": more}]), asked, who, now=now)
    if isinstance(stricter, Allow):
        assert isinstance(decide(policy(document), asked, who, now=now), Allow)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "allow",
                    "deny",
                    "and",
                    "or",
                    "is",
                    "in",
                    "matches",
                    "timezone",
                    "after",
                    *BUILDERS,
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(document=JSON, asked=REQUESTS, who=WHO)
def test_any_document_loads_or_is_refused(
    document: object, asked: CheckRequest, who: Identity | None
) -> None:
    try:
        compiled = policy(document)
    except ConfigError as refused:
        assert refused.problems  # noqa: PT017
    else:
        decide(compiled, asked, who, now=NOW)


@given(name=st.sampled_from(sorted(BUILDERS)), data=JSON, asked=REQUESTS, who=WHO)
def test_any_data_of_a_criterion_loads_or_is_refused(
    name: str, data: object, asked: CheckRequest, who: Identity | None
) -> None:
    try:
        compiled = policy({"allow": {"not": [{f"{name}/a": data}]}})
    except ConfigError as refused:
        assert refused.problems  # noqa: PT017
    else:
        decide(compiled, asked, who, now=NOW)
