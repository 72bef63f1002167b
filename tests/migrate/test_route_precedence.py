"""First in order wins there, most specific wins here: wherever they differ, the import says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.urls import Origin
from tests.migrate.importer import convert_options, load_converted

HERE = Path(__file__).parent
ROUTE: dict[str, Any] = {"to": "http://upstream", "allow_public_unauthenticated_access": True}


def options(*routes: dict[str, Any]) -> dict[str, Any]:
    named = [ROUTE | {"name": f"r{at}"} | route for at, route in enumerate(routes)]
    return {"idp_provider": "google", "idp_client_id": "x", "routes": named}


def pairs(*routes: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (it.earlier.name, it.later.name)
        for it in convert_options(options(*routes)).precedence_changes
    ]


APP, ANY, DEEP = "https://app.a.test", "https://*.test", "https://*.a.test"


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param([{"from": APP, "prefix": "/a"}, {"from": APP}], [], id="specific first"),
        pytest.param([{"from": APP}, {"from": APP, "prefix": "/a"}], [("r0", "r1")], id="wide first"),
        pytest.param([{"from": APP, "prefix": "/a"}, {"from": APP, "prefix": "/b"}], [], id="apart"),
        pytest.param([{"from": APP, "prefix": "/a"}, {"from": APP, "prefix": "/ab"}],
                     [("r0", "r1")], id="letters count, not segments"),
        pytest.param([{"from": APP}, {"from": APP, "path": "/a"}], [("r0", "r1")], id="exact path"),
        pytest.param([{"from": APP, "path": "/a"}, {"from": APP, "path": "/a"}], [], id="twins"),
        pytest.param([{"from": APP, "regex": "/a.*"}, {"from": APP, "path": "/ab"}],
                     [("r0", "r1")], id="a path that a pattern takes"),
        pytest.param([{"from": APP, "regex": "/a[0-9]"}, {"from": APP, "path": "/ab"}], [],
                     id="a path that a pattern leaves"),
        pytest.param([{"from": APP, "prefix": "/a"}, {"from": APP, "regex": "/b.*"}], [],
                     id="a pattern elsewhere"),
        pytest.param([{"from": APP, "prefix": "/a"}, {"from": APP, "regex": "/(a|b)"}],
                     [("r0", "r1")], id="a pattern that may be there"),
        pytest.param([{"from": APP, "regex": "/a"}, {"from": APP, "regex": ".*"}], [],
                     id="patterns stay in order"),
        pytest.param([{"from": ANY}, {"from": APP}], [], id="exact hosts come first in both"),
        pytest.param([{"from": ANY}, {"from": DEEP}], [("r0", "r1")], id="wide pattern first"),
        pytest.param([{"from": DEEP}, {"from": ANY}], [], id="narrow pattern first"),
        pytest.param([{"from": ANY, "path": "/a"}, {"from": DEEP}], [("r0", "r1")],
                     id="the host counts before the path"),
        pytest.param([{"from": ANY, "path": "/a"}, {"from": DEEP, "prefix": "/b"}], [],
                     id="nothing in common"),
        pytest.param([{"from": APP}, {"from": f"{APP}:8443", "prefix": "/a"}], [], id="other port"),
    ],
)  # fmt: skip
def test_pairs(routes: list[dict[str, Any]], expected: list[tuple[str, str]]) -> None:
    assert pairs(*routes) == expected


def test_a_host_of_its_own_is_asked_alone() -> None:
    result = convert_options(options({"from": APP, "prefix": "/a"}, {"from": DEEP}))
    _, built = load_converted(result, HERE)
    assert not result.needs_acceptance
    elsewhere = built.index.match(Origin("https", "app.a.test"), "/b")
    assert elsewhere is not None
    assert not elsewhere.public, "Pomerium answers not found here, so nobody passes"


HOSTS = ("app.a.test", "b.a.test", "x.b.a.test", "c.test", "a.test")
FROM = st.sampled_from(
    [*(f"https://{host}" for host in HOSTS), ANY, DEEP, "https://*.b.a.test", "https://APP.a.test"]
)
PATTERNS = ["/a.*", "/(a|b)", "^/a[0-9]+$", ".*", "/a/?b?", "/ab?", r"/a\.b", "/b{0,1}", "/a|/ab"]
WHERE: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.sampled_from([{"prefix": p} for p in ("/", "/a", "/ab", "/a/", "/a/b", "/b", "nowhere")]),
    st.sampled_from([{"path": p} for p in ("/", "/a", "/ab", "/a/b", "/a.b")]),
    st.sampled_from([{"regex": p} for p in PATTERNS]),
    st.sampled_from([{"regex": "/a", "prefix": "/b"}, {"path": "/a", "prefix": "/b"}]),
)
ROUTES = st.lists(st.builds(lambda a, b: {"from": a} | b, FROM, WHERE), min_size=1, max_size=7)
PATHS = ("/", "/a", "/ab", "/a/", "/a/b", "/a1", "/a.b", "/b", "/c")


def in_pomerium(routes: list[dict[str, Any]], host: str, path: str) -> str | None:
    """Who answers there: its proxy in a few lines."""
    own = [it for it in enumerate(routes) if it[1]["from"].lower() == f"https://{host}"]
    patterns = [
        it
        for it in enumerate(routes)
        if it[1]["from"].startswith("https://*.")
        and re.fullmatch(f".*{re.escape(it[1]['from'].removeprefix('https://*'))}", host)
    ]
    for at, route in own or patterns:
        if "regex" in route:
            fits = re.fullmatch(route["regex"], path) is not None
        elif "path" in route:
            fits = route["path"] == path
        else:
            fits = path.startswith(route.get("prefix", "/"))
        if fits:
            return f"r{at}"
    return None


@given(ROUTES)
def test_only_listed_pairs_differ(routes: list[dict[str, Any]]) -> None:
    result = convert_options(options(*routes))
    _, built = load_converted(result, HERE)
    listed = {(it.earlier.name, it.later.name) for it in result.precedence_changes}
    added = {result.data["routes"][place]["name"] for place in result.added_routes}
    for host in HOSTS:
        for path in PATHS:
            route = built.index.match(Origin("https", host), path)
            ours = None if route is None or route.name in added else route.name
            theirs = in_pomerium(routes, host, path)
            assert ours == theirs or (theirs, ours) in listed, (host, path, theirs, ours)
