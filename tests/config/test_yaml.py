from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.config.references import ReferenceResolver
from authz_sidecar.config.yaml import MAX_DEPTH, parse_yaml, resolve_plain_scalar

if TYPE_CHECKING:
    from authz_sidecar.config.document import Document


def read(text: str, *, env: dict[str, str] | None = None) -> Document:
    surroundings = None if env is None else ReferenceResolver(env=env, directory=Path())
    return parse_yaml(text, file="f.yaml", resolver=surroundings)


def said(document: Document) -> list[str]:
    return [str(problem) for problem in document.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(
            pytest.param(word, word, id=f"{word} is a word")
            for word in ("yes", "no", "on", "off", "y", "n", "Yes", "NO", "nil", "none", "tRUE")
        ),
        pytest.param("true", True, id="true"),
        pytest.param("False", False, id="False"),
        pytest.param("null", None, id="null"),
        pytest.param("~", None, id="tilde"),
        pytest.param("", None, id="nothing"),
        pytest.param("012", 12, id="a leading zero is decimal"),
        pytest.param("0o14", 12, id="octal"),
        pytest.param("0xC", 12, id="hexadecimal"),
        pytest.param("+12", 12, id="plus"),
        pytest.param("-12", -12, id="minus"),
        pytest.param("1_000", "1_000", id="underscores are text"),
        pytest.param("0b11", "0b11", id="binary is text"),
        pytest.param("1:30", "1:30", id="no base 60"),
        pytest.param("190:20:30", "190:20:30", id="no base 60, three parts"),
        pytest.param("2021-01-01", "2021-01-01", id="a date is text"),
        pytest.param(
            "2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00", id="a time too"
        ),
        pytest.param("1.5", 1.5, id="decimal"),
        pytest.param("1.", 1.0, id="decimal without digits"),
        pytest.param(".5", 0.5, id="decimal without a whole part"),
        pytest.param("1e3", 1000.0, id="exponent without a point"),
        pytest.param("-.inf", -math.inf, id="infinity"),
        pytest.param(".", ".", id="a dot"),
        pytest.param("-", "-", id="a minus alone"),
        pytest.param("=", "=", id="no value type"),
        pytest.param("127.0.0.1", "127.0.0.1", id="an address"),
        pytest.param("9" * 5000, "9" * 5000, id="digits without end stay text"),
    ],
)
def test_core_schema(written: str, value: object) -> None:
    assert resolve_plain_scalar(written) == value
    assert type(resolve_plain_scalar(written)) is type(value)


def test_not_a_number() -> None:
    assert math.isnan(resolve_plain_scalar(".nan"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        pytest.param(
            "a: 'no'\nb: \"1\"\nc: |\n  1\n", {"a": "no", "b": "1", "c": "1\n"}, id="quoted"
        ),
        pytest.param(
            "1: a\nyes: b\nnull: c", {"1": "a", "yes": "b", "null": "c"}, id="keys are text"
        ),
        pytest.param("a: !!str 1\nb: !!int '2'", {"a": "1", "b": 2}, id="core tags"),
        pytest.param("a: &x [1]\nb: *x", {"a": [1], "b": [1]}, id="alias"),
        pytest.param(
            "a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}",
            {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 2}},
            id="own keys win over merged ones",
        ),
        pytest.param(
            "a: {<<: [{x: 1}, {x: 2, y: 3}]}", {"a": {"x": 1, "y": 3}}, id="earlier maps win"
        ),
        pytest.param("a: {'<<': 1}", {"a": {"<<": 1}}, id="a quoted << is a key"),
        pytest.param("", None, id="empty"),
        pytest.param("# nothing\n", None, id="comment only"),
        pytest.param(
            "a: {env: HOME}", {"a": {"env": "HOME"}}, id="no references where none are asked"
        ),
    ],
)
def test_documents(text: str, data: object) -> None:
    document = read(text)
    assert said(document) == []
    assert document.data == data


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "a: 1\nb:\n  c: 1\n  c: 2",
            "f.yaml:4:3: b.c: given twice, first on line 3",
            id="duplicate key",
        ),
        pytest.param("1: a\n'1': b", "f.yaml:2:1: 1: given twice, first on line 1", id="same text"),
        pytest.param(
            "a: [",
            "f.yaml:2:1: not valid yaml: while parsing a flow node, did not find"
            " expected node content",
            id="unfinished",
        ),
        pytest.param(
            "a: *b", "f.yaml:1:4: the alias refers to no earlier anchor `b`", id="no anchor"
        ),
        pytest.param(
            "a: &a [*a]", "f.yaml:1:8: the alias refers to no earlier anchor `a`", id="recursion"
        ),
        pytest.param("? [a]\n: b", "f.yaml:1:3: a key must be text", id="list as key"),
        pytest.param("a: &a b\n*a : c", "f.yaml:2:1: a key must be text", id="alias as key"),
        pytest.param(
            "a: !python/name:os.system x",
            "f.yaml:1:4: `x` cannot have the tag `!python/name:os.system`",
            id="foreign tag",
        ),
        pytest.param(
            "a: !!python/object/apply:os.system [x]",
            "f.yaml:1:4: the tag"
            " `tag:yaml.org,2002:python/object/apply:os.system` is not supported",
            id="object",
        ),
        pytest.param(
            "a: !!int x",
            "f.yaml:1:4: `x` cannot have the tag `tag:yaml.org,2002:int`",
            id="tag that does not fit",
        ),
        pytest.param(
            "a: 1\n---\nb: 2",
            "f.yaml:2:1: a second document begins here, but a file holds one",
            id="two documents",
        ),
        pytest.param(
            "a: {<<: 1}", "f.yaml:1:9: `<<` takes a map or a list of maps", id="odd merge"
        ),
        pytest.param(
            "a: b\n\x01",
            "f.yaml:2:1: not valid yaml: control characters are not allowed",
            id="control character",
        ),
        pytest.param("[" * 100, f"f.yaml:1:65: nested deeper than {MAX_DEPTH} levels", id="deep"),
        pytest.param(
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200)),
            f"f.yaml:64:12: nested deeper than {MAX_DEPTH} levels",
            id="deep through aliases",
        ),
        pytest.param(
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 20)),
            "f.yaml:7:10: more than 2000000 values, aliases counted as often as used",
            id="bomb",
        ),
    ],
)
def test_refused(text: str, problem: str) -> None:
    assert said(read(text)) == [problem]


def test_every_duplicate_is_reported_and_the_first_stays() -> None:
    document = read("a: 1\na: 2\nb: 1\nb: 2")
    assert len(document.problems) == 2
    assert document.data == {"a": 1, "b": 1}


def test_places() -> None:
    positions = read(
        "server:\n  listen: x\nroutes:\n- from: y\n  policy:\n    - allow:\n"
    ).source_map
    assert positions.location_of("server") == ("f.yaml", 1, 1)
    assert positions.location_of("server", "listen") == ("f.yaml", 2, 11)
    assert positions.key_location_of("server", "listen") == ("f.yaml", 2, 3)
    assert positions.location_of("routes", 0, "policy", 0, "allow", "or") == ("f.yaml", 6, 13)
    assert positions.location_of("routes", 7) == ("f.yaml", 3, 1)
    assert positions.key_location_of("server", "nowhere") == ("f.yaml", 1, 1)


def test_a_merged_key_stands_where_it_was_written() -> None:
    assert read("a: &a {x: 1}\nb:\n  <<: *a").source_map.location_of("b", "x") == ("f.yaml", 1, 11)


def test_an_alias_stands_where_it_is_used_and_its_content_where_it_was_written() -> None:
    positions = read("a: &a {x: 1}\nb: *a").source_map
    assert positions.location_of("b") == ("f.yaml", 2, 1)
    assert positions.location_of("b", "x") == ("f.yaml", 1, 11)


def test_references() -> None:
    document = read("a: {env: NAME}\nb: [{env: NAME}]\nc: {env: NAME, x: 1}", env={"NAME": "no"})
    assert said(document) == []
    assert document.data == {"a": "no", "b": ["no"], "c": {"env": "NAME", "x": 1}}


def test_a_missing_reference_is_named_where_it_stands() -> None:
    document = read("a:\n  - {env: NOWHERE}", env={})
    assert said(document) == ["f.yaml:2:5: a[0]: the environment variable `NOWHERE` is not set"]
    assert document.unreadable_paths == {("a", 0)}


@given(st.text(alphabet="ab:-[]{},&*!<>|#'\"\n ?%~01", max_size=60))
def test_any_text_is_a_document_or_a_problem(text: str) -> None:
    document = parse_yaml(text, file="f.yaml")
    for problem in document.problems:
        assert problem.file == "f.yaml"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=8)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=20,
    )
)
def test_json_is_yaml(value: object) -> None:
    document = parse_yaml(json.dumps(value, ensure_ascii=False), file="f.json")
    assert said(document) == []
    assert document.data == value
