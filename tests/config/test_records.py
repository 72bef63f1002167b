"""Tables of records: what is read from text, and what is refused with its place."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.config.load import load_config
from authz_sidecar.config.records import parse_redis_hash, parse_table
from authz_sidecar.config.schema import RecordTable
from authz_sidecar.core.types import CheckRequest, Deny, Identity
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.errors import ConfigError
from authz_sidecar.policy import decide
from authz_sidecar.routes_from_config import compile_routes

if TYPE_CHECKING:
    from pathlib import Path


def table(data: object, **settings: Any) -> RecordTable:
    return RecordTable.model_validate({"table": data, **settings})


CSV = 'user,level,rate,team,remote,note\nu1,4,0.5,search,true,\n\nu 2,007,-1,"a, b",false,"say ""x"""\n'


@pytest.mark.parametrize(
    ("settings", "records"),
    [
        pytest.param(table({"u1": {"level": 4}}), {"u1": {"level": 4}}, id="in the configuration"),
        pytest.param(table("u1: {level: 4, tags: [a, b]}"), {"u1": {"level": 4, "tags": ["a", "b"]}},
                     id="yaml"),
        pytest.param(table('{"u1": {"level": 4}}'), {"u1": {"level": 4}}, id="json"),
        pytest.param(
            table(CSV, format="csv"),
            {
                "u1": {"level": 4, "rate": 0.5, "team": "search", "remote": True},
                "u 2": {"level": "007", "rate": -1, "team": "a, b", "remote": False,
                        "note": 'say "x"'},
            },
            id="csv",
        ),
        pytest.param(table("user,a\n", format="csv"), {}, id="csv without records"),
        pytest.param(table("\ufeffuser,a\r\nu1,x\r\n", format="csv"), {"u1": {"a": "x"}},
                     id="csv of a spreadsheet"),
        pytest.param(table({"10.0.0.0/8": {"a": 1}, "::1": {"a": 2}}, by="address"),
                     {"10.0.0.0/8": {"a": 1}, "::1": {"a": 2}}, id="networks"),
        pytest.param(table({}), {}, id="empty"),
    ],
)  # fmt: skip
def test_a_table(settings: RecordTable, records: object) -> None:
    read = parse_table(settings)
    assert read.problems == []
    assert read.records == records


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        pytest.param(table("redis://127.0.0.1/0"),
                     "must not be a URL; give a table in Redis as `redis: {key: …}`", id="redis"),
        pytest.param(table(["u1"]), "must be a map from users or networks to records", id="a list"),
        pytest.param(table("u1"), "must be a map from users or networks to records", id="a word"),
        pytest.param(table(None), "must be a map from users or networks to records", id="nothing"),
        pytest.param(table({"u1": 4}), "`u1`: a record is a map from fields to values", id="value"),
        pytest.param(table({"": {}}), "has a record without a user or a network", id="nobody"),
        pytest.param(table({"10.0.0.0/40": {}}, by="address"),
                     "`10.0.0.0/40` is not an address or a network", id="no network"),
        pytest.param(table({"10.0.0.1/8": {}, "10.0.0.2/8": {}}, by="address"),
                     "`10.0.0.2/8` is the same network as `10.0.0.1/8`", id="same network"),
        pytest.param(table("a: {}\na: {}\n"), "line 2: ", id="yaml with a key twice"),
        pytest.param(table("a: {}\nb: [", format="yaml"), "line ", id="broken yaml"),
        pytest.param(table("", format="csv"), "must be a map from users or networks to records",
                     id="empty csv"),
        pytest.param(table("user\nu1\n", format="csv"),
                     "the first row must name at least two distinct columns", id="csv of one column"),
        pytest.param(table("user,a,a\n", format="csv"),
                     "the first row must name at least two distinct columns", id="csv with twins"),
        pytest.param(table("user,a\nu1,1,2\n", format="csv"), "line 2: 3 columns, not 2",
                     id="csv with a long row"),
        pytest.param(table("user,a\nu1,1\nu1,2\n", format="csv"), "line 3: `u1` is listed already",
                     id="csv with a user twice"),
        pytest.param(table('user,a\nu1,"1\n', format="csv"), "line ", id="csv with an open quote"),
    ],
)  # fmt: skip
def test_a_broken_table(settings: RecordTable, problem: str) -> None:
    assert [each[: len(problem)] for each in parse_table(settings).problems] == [problem]


def test_many_problems_are_cut_short() -> None:
    assert len(parse_table(table({f"u{at}": at for at in range(1000)})).problems) == 20


@given(
    text=st.text(), form=st.sampled_from(["csv", "yaml"]), by=st.sampled_from(["user", "address"])
)
def test_nothing_fails(text: str, form: str, by: str) -> None:
    parse_table(table(text, format=form, by=by))


def written(directory: Path, **more: Any) -> Path:
    config = {
        "secret_keys": ["Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"],
        "sessions": {"store": "memory://"},
        "identity_providers": {"corp": {"issuer": "https://idp.example.com", "client_id": "a"}},
        "records": {"staff": {"format": "csv", "table": {"file": "staff.csv"}}},
        **more,
    }
    path = directory / "c.yaml"
    path.write_text(json.dumps(config))
    return path


def route(**record: Any) -> dict[str, Any]:
    policy = {"deny": {"or": [{"record": {"field": "level", "exists": True, **record}}]}}
    return {"from": "https://a.example.com", "policy": policy}


def test_a_table_in_a_file_goes_where_the_configuration_goes(tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text("user,level\nu1,4\n")
    config = load_config(written(tmp_path, routes=[route(type="staff")]), env={})
    assert compile_routes(config).problems == ()
    copy = pickle.loads(pickle.dumps(config))
    assert parse_table(copy.records["staff"]).records == {"u1": {"level": 4}}


def test_a_broken_file_names_the_table_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text("user,level\nu1\n")
    with pytest.raises(ConfigError) as refused:
        load_config(written(tmp_path), env={})
    (problem,) = refused.value.problems
    assert problem.message == "records.staff.table: line 2: 1 columns, not 2"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param({"type": "stuff"}, "there is no table `stuff` by user among `records`", id="name"),
        pytest.param({"type": "staff", "by": "address"},
                     "there is no table `staff` by address among `records`", id="way"),
    ],
)  # fmt: skip
def test_a_policy_about_a_table_that_is_not_there(
    record: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "staff.csv").write_text("user,level\nu1,4\n")
    config = load_config(written(tmp_path, routes=[route(**record)]), env={})
    (problem,) = compile_routes(config).problems
    assert problem.message.endswith(f"record.type: {message}")


@pytest.mark.parametrize(
    ("fields", "by", "records"),
    [
        pytest.param({b"u1": b'{"level": 4, "tags": ["a"]}', b"": b"{}"}, "user", None, id="no user"),
        pytest.param({b"u1": b'{"level": 4, "tags": ["a"]}', b"-": b"{}"}, "user",
                     {"u1": {"level": 4, "tags": ["a"]}, "-": {}}, id="users"),
        pytest.param({b"10.0.0.0/8": b"{}", b"::1": b'{"a": 1}'}, "address",
                     {"10.0.0.0/8": {}, "::1": {"a": 1}}, id="networks"),
        pytest.param({b"hq": b"{}"}, "address", None, id="no network"),
        pytest.param({b"10.0.0.0/8": b"{}", b"10.1.0.0/8": b"{}"}, "address", None,
                     id="the same network twice"),
        pytest.param({b"10.0.0.0/8": b"{}", b"::ffff:10.0.0.0/104": b"{}"}, "address", None,
                     id="the same network in IPv6 clothes"),
        pytest.param({}, "user", None, id="nothing"),
        pytest.param({b"u1": b"4"}, "user", None, id="no map"),
        pytest.param({b"u1": b"{level: 4}"}, "user", None, id="no JSON"),
        pytest.param({b"u1": b'{"a": 1, "a": 2}'}, "user", None, id="a field twice"),
        pytest.param({b"u1": b'{"a": NaN}'}, "user", None, id="no number"),
        pytest.param({b"u1": b'{"a": ' + b"9" * 5000 + b"}"}, "user", None, id="an endless number"),
        pytest.param({b"u1": b"[" * 100_000}, "user", None, id="deep"),
        pytest.param({b"\xff": b"{}"}, "user", None, id="no text"),
    ],
)  # fmt: skip
def test_a_hash_is_a_whole_table_or_none(
    fields: dict[bytes, bytes], by: str, records: object
) -> None:
    if records is None:
        with pytest.raises(ValueError, match=r"\w"):
            parse_redis_hash(fields, by=by)
    else:
        assert parse_redis_hash(fields, by=by) == records


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({}, "records.staff: needs a `table` or `redis`", id="neither"),
        pytest.param({"redis": {"key": "staff"}},
                     "records.staff.redis: needs a `url`, because `sessions.store` is not Redis", id="memory"),
        pytest.param({"redis": {"key": "staff", "url": "http://a"}},
                     "records.staff.redis.url: must begin with one of `redis://`, `rediss://`,"
                     " `unix://`, `redis+sentinel://`, `redis+cluster://`", id="no Redis"),
        pytest.param({"redis": {"key": "staff", "url": "redis://a", "every": "0s"}},
                     "records.staff.redis.every: must be at least `1s`", id="too often"),
        pytest.param({"redis": {"key": "staff", "url": "redis://a", "every": "20s"}},
                     "records.staff.redis.max_age: must be at least twice `every`, so that one failed"
                     " read is tolerated", id="too rarely"),
        pytest.param({"redis": {"key": "staff", "url": "redis://a"}, "table": {}},
                     "records.staff.table: cannot be combined with `redis`", id="both"),
    ],
)  # fmt: skip
def test_where_a_table_is(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(written(tmp_path, records={"staff": settings}), env={})
    assert [problem.message for problem in refused.value.problems] == [message]


def test_a_table_in_redis_is_known_by_name_before_it_is_read(tmp_path: Path) -> None:
    kept = {"staff": {"redis": {"key": "staff", "url": "redis://127.0.0.1:1"}}}
    config = load_config(written(tmp_path, records=kept, routes=[route(type="staff")]), env={})
    built = compile_routes(config)
    assert built.problems == ()
    request = CheckRequest(
        adapter="nginx", method="GET", origin=parse_origin("https://a.example.com"), path="/"
    )
    ann = Identity(provider="corp", issuer="https://idp.example.com", subject="u1")
    decision = decide(built.index.routes[0].policy, request, ann, now=0.0)
    assert decision == Deny(frozenset({"record-unknown"}))


def test_an_overlay_gives_tests_a_table_of_their_own(tmp_path: Path) -> None:
    kept = {"staff": {"redis": {"key": "staff", "url": "redis://127.0.0.1:1"}}}
    written(tmp_path, records=kept)
    overlay = tmp_path / "test.yaml"
    own = {"staff": {"redis": None, "table": {"u1": {"level": 4}}}}
    overlay.write_text(json.dumps({"extends": "c.yaml", "records": own}))
    settings = load_config(overlay, env={}).records["staff"]
    assert settings.redis is None
    assert parse_table(settings).records == {"u1": {"level": 4}}
