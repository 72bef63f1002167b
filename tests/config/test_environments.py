"""One source for several environments: files on top of each other, and variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.config.load import (
    MAX_EXTENDS_DEPTH,
    NAMED_LISTS,
    examine_config,
    load_config,
    read_document,
)
from authz_sidecar.config.merge import overlay_document
from authz_sidecar.config.yaml import parse_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.config.schema import Config

KEY = "Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"
BASE = """\
variables: {domain: example.com, lifetime: 14h, admins: [root@example.com], workers: 2}
server: {workers: {var: workers}, auth_host: {text: "https://auth.{domain}"}}
secret_keys: [{env: PRODUCTION_KEY}]
sessions: {store: "redis://db:6379/0", lifetime: {var: lifetime}, cookie: {name: authz}}
identity_providers:
  corp: {issuer: https://idp.example.com, client_id: authz}
policies:
  staff: [{allow: {or: [{domain: {is: {var: domain}}}]}}]
routes:
  - {name: wiki, from: {text: "https://wiki.{domain}"}, policies: staff}
  - {name: admin, from: {text: "https://admin.{domain}"}, allowed_users: {var: admins}}
"""
STAGING = """\
extends: base.yaml
variables: {domain: staging.example.com}
secret_keys: [staging-staging-staging-staging-0]
sessions: {lifetime: 1h, idle_timeout: 5m}
routes:
  - {name: admin, allowed_users: [tester@example.com], prefix: /x}
  - {name: debug, from: {text: "https://debug.{domain}"}, policies: staff}
"""


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


def said(path: Path, **env: str) -> list[str]:
    """Problems, with the places relative to the directory."""
    found = examine_config(path, env=env).problems
    return [str(problem).replace(f"{path.parent}/", "") for problem in found]


@pytest.fixture
def staging(tmp_path: Path) -> Config:
    return load_config(write(tmp_path, base=BASE, staging=STAGING) / "staging.yaml", env={})


def test_maps_merge_and_the_upper_file_counts(staging: Config) -> None:
    assert staging.sessions.lifetime == 3600
    assert staging.sessions.idle_timeout == 300
    assert staging.sessions.cookie.name == "authz"
    assert staging.sessions.store.reveal() == "redis://db:6379/0"
    assert list(staging.identity_providers) == ["corp"]


def test_lists_are_replaced(staging: Config) -> None:
    assert [key.reveal() for key in staging.secret_keys] == ["staging-staging-staging-staging-0"]


def test_routes_merge_by_name_and_new_ones_come_last(staging: Config) -> None:
    assert [route.name for route in staging.routes] == ["wiki", "admin", "debug"]
    assert staging.routes[1].from_ == "https://admin.staging.example.com"
    assert staging.routes[1].allowed_users == ("tester@example.com",)
    assert staging.routes[1].prefix == "/x"


def test_variables_keep_their_type_and_reach_everywhere(staging: Config) -> None:
    assert staging.server.workers == 2
    assert str(staging.server.auth_host) == "https://auth.staging.example.com"
    assert staging.policies["staff"] == [
        {"allow": {"or": [{"domain": {"is": "staging.example.com"}}]}}
    ]


def test_each_file_can_be_used_alone(tmp_path: Path) -> None:
    path = write(tmp_path, base=BASE, staging=STAGING) / "base.yaml"
    production = load_config(path, env={"PRODUCTION_KEY": KEY})
    assert production.routes[1].allowed_users == ("root@example.com",)
    assert production.sessions.lifetime == 14 * 3600


def test_values_point_to_where_they_were_written(tmp_path: Path, staging: Config) -> None:
    at = staging.source_map.location_of
    assert at("sessions", "store") == (str(tmp_path / "base.yaml"), 4, 19)
    assert at("sessions", "lifetime") == (str(tmp_path / "staging.yaml"), 4, 22)
    assert at("routes", 1, "from") == (str(tmp_path / "base.yaml"), 11, 25)
    assert at("routes", 1, "prefix") == (str(tmp_path / "staging.yaml"), 6, 64)
    assert at("routes", 2, "from") == (str(tmp_path / "staging.yaml"), 7, 25)
    assert at("policies", "staff", 0, "allow", "or", 0)[:2] == (str(tmp_path / "base.yaml"), 8)


def test_problems_of_routes_name_their_place_in_the_whole(tmp_path: Path) -> None:
    over = STAGING.replace("policies: staff}", "policies: staff, allowed_users: {env: NOBODY}}")
    path = write(tmp_path, base=BASE, staging=over) / "staging.yaml"
    assert said(path) == [
        "staging.yaml:7:91: routes[2].allowed_users: the environment variable `NOBODY` is not set"
    ]


def test_nothing_takes_away_what_is_below(tmp_path: Path) -> None:
    over = f"{STAGING}server: {{auth_host: ~}}\nidentity_providers: {{corp: {{client_id: ~}}}}\n"
    path = write(tmp_path, base=BASE, staging=over) / "staging.yaml"
    assert said(path) == ["base.yaml:6:3: identity_providers.corp.client_id: is required"]
    partial = examine_config(path, env={}).partial
    assert partial is not None
    assert partial.server.auth_host is None


def test_what_was_replaced_has_no_more_problems(tmp_path: Path) -> None:
    path = write(tmp_path, base=BASE, staging="extends: base.yaml\nserver: {workers: 3}\n")
    assert said(path / "staging.yaml") == [
        "base.yaml:3:15: secret_keys[0]: the environment variable `PRODUCTION_KEY` is not set"
    ]
    assert said(write(tmp_path, staging=STAGING) / "staging.yaml") == []


def test_a_chain_and_a_directory(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    write(base, a=BASE.replace("routes:", "x:").partition("x:")[0])
    write(base, b="routes: [{name: wiki, from: https://wiki.test, policies: staff}]\n")
    write(tmp_path, middle="extends: base\nserver: {workers: 5}\n")
    write(tmp_path, top="extends: middle.yaml\nroutes: [{name: wiki, prefix: /w}]\n")
    config = load_config(tmp_path / "top.yaml", env={"PRODUCTION_KEY": KEY})
    assert config.server.workers == 5
    assert config.routes[0].prefix == "/w"
    assert config.source_map.location_of("routes", 0, "from")[0] == str(base / "b.yaml")


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        pytest.param("extends: nowhere.yaml",
                     "top.yaml:1:10: extends: `nowhere.yaml`: cannot read this file: no such file or"
                     " directory", id="missing"),
        pytest.param("extends: top.yaml", "top.yaml:1:10: extends: `top.yaml` extends this file in turn",
                     id="itself"),
        pytest.param("extends: loop.yaml", "loop.yaml:1:10: extends: `top.yaml` extends this file in turn",
                     id="cycle"),
        pytest.param("extends: .", "top.yaml:1:10: extends: `.` extends this file in turn",
                     id="its own directory"),
        pytest.param("extends: [base.yaml]",
                     "top.yaml:1:1: extends: must be the path of a file or a directory", id="list"),
        pytest.param("extends: {var: base}",
                     "top.yaml:1:10: extends: must be the path of a file or a directory",
                     id="variable"),
        pytest.param("extends: {env: NOWHERE}",
                     "top.yaml:1:10: extends: the environment variable `NOWHERE` is not set", id="env"),
        pytest.param("variables: [a]", "top.yaml:1:1: variables: must be a map of names and values",
                     id="no map of variables"),
        pytest.param("variables: {A b: c}",
                     "top.yaml:1:13: variables.A b: `A b` is not a name of lower-case letters, digits,"
                     " `-` and `_`", id="no name"),
        pytest.param("variables: {a: x, b: [{var: a}]}",
                     "top.yaml:1:19: variables.b: variables cannot refer to each other", id="nested"),
        pytest.param("variables: {domain: x}\nserver: {base_path: {var: domian}}",
                     "top.yaml:2:21: server.base_path: there is no variable `domian` (did you mean"
                     " `domain`?)", id="unknown variable"),
        pytest.param("variables: {d: x}\nserver: {base_path: {text: '/{e}'}}",
                     "top.yaml:2:21: server.base_path: there is no variable `e`", id="unknown in text"),
        pytest.param("variables: {d: [x]}\nserver: {base_path: {text: '/{d}'}}",
                     "top.yaml:2:21: server.base_path: the variable `d` is not text", id="list in text"),
        pytest.param("server: {base_path: {text: '/{d'}}",
                     "top.yaml:1:21: server.base_path: `{` must be doubled to stand for itself",
                     id="lone brace"),
        pytest.param("server: {base_path: {var: 5}}",
                     "top.yaml:1:21: server.base_path: `var` needs the name of one of `variables` as"
                     " text", id="no name of a variable"),
        pytest.param("variables: {d: 5}\nserver: {base_path: {var: d}}",
                     "top.yaml:2:21: server.base_path: must be text, put it in quotes", id="type"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, over: str, problem: str) -> None:
    write(tmp_path, top=f"{over}\n", loop="extends: top.yaml\n")
    assert problem in said(tmp_path / "top.yaml")


def test_texts_and_braces(tmp_path: Path) -> None:
    path = (
        write(tmp_path, a='variables: {n: 5, t: true}\nx: {text: "{{{n}}} {t} {n}"}\n') / "a.yaml"
    )
    assert read_document(path, env={}).data == {"x": "{5} true 5"}


def test_a_value_from_outside_is_still_one(tmp_path: Path) -> None:
    write(tmp_path, a=BASE.replace("workers: 2", "workers: {env: WORKERS}"))
    config = load_config(tmp_path / "a.yaml", env={"WORKERS": "7", "PRODUCTION_KEY": KEY})
    assert config.server.workers == 7


def test_layers_are_bounded(tmp_path: Path) -> None:
    for at in range(MAX_EXTENDS_DEPTH + 2):
        write(tmp_path, **{f"f{at}": f"extends: f{at + 1}.yaml\n"})
    assert f"more than {MAX_EXTENDS_DEPTH} levels of `extends`" in "\n".join(
        said(tmp_path / "f0.yaml")
    )


def test_variables_are_bounded(tmp_path: Path) -> None:
    many, uses = ", ".join("x" * 2000), ", ".join(["{var: many}"] * 2000)
    path = write(tmp_path, a=f"variables: {{many: [{many}]}}\nx: [{uses}]\n") / "a.yaml"
    assert "the variables expand to too many values" in "\n".join(said(path))
    long = "variables: {a: %s}\nx: {text: '%s'}\n" % ("y" * 1000, "{a}" * 10)  # noqa: UP031
    assert "expands to more than" in "\n".join(said(write(tmp_path, b=long) / "b.yaml"))


def test_an_alias_below_is_changed_in_one_place_only(tmp_path: Path) -> None:
    base = "a: &x {k: 1, deep: {d: 1}}\nb: *x\n"
    write(tmp_path, base=base, over="extends: base.yaml\na: {deep: {d: 2}}\n")
    data = read_document(tmp_path / "over.yaml", env={}).data
    assert data == {"a": {"k": 1, "deep": {"d": 2}}, "b": {"k": 1, "deep": {"d": 1}}}


SCALARS = st.integers() | st.text("xyz", max_size=3)
MAPS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        SCALARS, lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=5
    )
    | st.lists(SCALARS, max_size=3),
    max_size=3,
)


@given(MAPS, MAPS)
def test_the_upper_document_always_counts(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = overlay_document(
        *(parse_yaml(_json(it), file="x") for it in (base, over)), named_lists=NAMED_LISTS
    ).data
    assert _below(over, merged)
    assert merged.keys() == base.keys() | over.keys()
    again = overlay_document(
        parse_yaml(_json(merged), file="x"),
        parse_yaml(_json(over), file="x"),
        named_lists=NAMED_LISTS,
    )
    assert again.data == merged


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def _below(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _below(value, whole[key]) for key, value in part.items())
    return bool(part == whole)
