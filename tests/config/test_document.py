from __future__ import annotations

from authz_sidecar.config.document import Document, merge_documents
from authz_sidecar.config.yaml import parse_yaml


def merge(*texts: str) -> Document:
    documents = [parse_yaml(text, file=f"{at}.yaml") for at, text in enumerate(texts)]
    return merge_documents(documents, concatenated=frozenset({"routes"}))


def said(document: Document) -> list[str]:
    return [str(problem) for problem in document.problems]


def test_maps_merge_and_routes_join() -> None:
    document = merge(
        "server: {workers: 1}\nroutes: [{from: a}]\npolicies: {x: []}",
        "server:\n  base_path: /b\nroutes:\n- from: b\npolicies: {y: []}",
        "",
    )
    assert said(document) == []
    assert document.data == {
        "server": {"workers": 1, "base_path": "/b"},
        "routes": [{"from": "a"}, {"from": "b"}],
        "policies": {"x": [], "y": []},
    }


def test_places_stay_in_their_files() -> None:
    positions = merge("routes: [{from: a}]", "routes:\n- from: b\nserver: {workers: 1}").source_map
    assert positions.location_of("routes", 0, "from") == ("0.yaml", 1, 17)
    assert positions.location_of("routes", 1, "from") == ("1.yaml", 2, 9)
    assert positions.location_of("server", "workers") == ("1.yaml", 3, 19)


def test_a_scalar_given_twice_names_both_places() -> None:
    document = merge("server: {workers: 1}", "server:\n  workers: 2")
    assert said(document) == ["1.yaml:2:3: server.workers: already given at 0.yaml:1:10"]
    assert document.data == {"server": {"workers": 1}}


def test_a_list_other_than_routes_is_not_joined() -> None:
    document = merge("secret_keys: [a]", "secret_keys: [b]")
    assert said(document) == ["1.yaml:1:1: secret_keys: already given at 0.yaml:1:1"]


def test_the_same_policy_twice_is_refused() -> None:
    document = merge("policies: {x: []}", "policies: {x: []}")
    assert said(document) == ["1.yaml:1:12: policies.x: already given at 0.yaml:1:12"]


def test_what_is_no_map_is_refused() -> None:
    assert said(merge("- a", "b: c")) == ["0.yaml:1:1: a configuration is a map of keys"]


def test_merging_changes_no_alias() -> None:
    document = merge("a: &x {k: 1}\nb: *x", "a: {l: 2}")
    assert document.data == {"a": {"k": 1, "l": 2}, "b": {"k": 1}}
