from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.core.source_locations import (
    SourceLocation,
    StaticSourceMap,
    format_path,
    scoped,
    unknown_locations,
)
from authz_sidecar.errors import Problem

PLACES = StaticSourceMap(
    file="main.yaml",
    locations={
        (): ("main.yaml", 1, 1),
        ("routes",): ("main.yaml", 4, 1),
        ("routes", 1): ("more.yaml", 2, 5),
        ("routes", 1, "policy"): ("more.yaml", 3, 7),
    },
)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        pytest.param((), ("main.yaml", 1, 1), id="root"),
        pytest.param(("routes", 1, "policy"), ("more.yaml", 3, 7), id="known"),
        pytest.param(("routes", 1, "policy", 0, "allow"), ("more.yaml", 3, 7), id="ancestor"),
        pytest.param(("server", "listen"), ("main.yaml", 1, 1), id="only the root is known"),
    ],
)
def test_nearest_known_ancestor(path: Any, place: SourceLocation) -> None:
    assert PLACES.location_of(*path) == place


def test_without_places_the_file_remains() -> None:
    assert unknown_locations("vectors.json").location_of("a", 0) == ("vectors.json", 0, 0)


def test_problem_names_place_and_path() -> None:
    assert str(PLACES.problem("no such criterion", "routes", 1, "policy", 0)) == (
        "more.yaml:3:7: routes[1].policy[0]: no such criterion"
    )


def test_problem_of_the_root_has_no_path() -> None:
    assert PLACES.problem("empty") == Problem(file="main.yaml", line=1, column=1, message="empty")


def test_below_keeps_the_whole_path() -> None:
    policy = scoped(scoped(PLACES, "routes", 1), "policy")
    assert policy.location_of(0) == ("more.yaml", 3, 7)
    assert policy.problem("must be an object", 0) == PLACES.problem(
        "must be an object", "routes", 1, "policy", 0
    )


def test_written() -> None:
    assert format_path(("routes", 0, "policy", 1, "allow")) == "routes[0].policy[1].allow"
    assert format_path((0, "allow")) == "[0].allow"
