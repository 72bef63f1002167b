from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.urls import Origin, parse_url
from tests.routes.settings import RouteSpec, compile_routes


def route(name: str, from_: str = "https://app.example.com", **settings: str) -> RouteSpec:
    return RouteSpec(name=name, from_=from_, **settings)  # type: ignore[arg-type]


HOSTS = compile_routes(
    route("app"),
    route("api", prefix="/api"),
    route("api v1", prefix="/api/v1/"),
    route("health", path="/api/health"),
    route("numbers", regex="/items/[0-9]+"),
    route("later numbers", regex="/items/1.*"),
    route("plain", prefix="/pl", prefix_match="plain"),
    route("shout", prefix="/Admin", paths="ignore_case"),
    route("port", "https://app.example.com:8443"),
    route("unicode", "https://bücher.example.com"),
    route("caps", "https://CAPS.Example.com.:443", prefix="/x"),
    route("one label", "https://*.example.com"),
    route("any depth", "https://**.example.com"),
    route("deep", "https://**.deep.example.com"),
    route("deep one label", "https://*.deep.example.com", prefix="/only"),
    route("insecure", "http://localhost:8080"),
    route("ümlaut", prefix="/büro"),
)


def test_the_routes_are_sound() -> None:
    assert HOSTS.problems == ()
    assert HOSTS.warnings == ()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        pytest.param("https://app.example.com/", "app", id="root"),
        pytest.param("https://app.example.com/anything/else", "app", id="below the root"),
        pytest.param("https://app.example.com/api", "api", id="prefix itself"),
        pytest.param("https://app.example.com/api/", "api", id="prefix and slash"),
        pytest.param("https://app.example.com/api/v2/x", "api", id="below a prefix"),
        pytest.param("https://app.example.com/apix", "app", id="segments, not letters"),
        pytest.param("https://app.example.com/api/v1", "api v1", id="longer prefix wins"),
        pytest.param("https://app.example.com/api/v1/a/b/c", "api v1", id="and far below"),
        pytest.param("https://app.example.com/%61pi/v1", "api v1", id="escapes are decoded"),
        pytest.param("https://app.example.com/api%2fv1", "app", id="an escaped slash is data"),
        pytest.param("https://app.example.com/api/health", "health", id="exact path"),
        pytest.param("https://app.example.com/api/health/", "api", id="exact means exact"),
        pytest.param("https://app.example.com/items/12", "numbers", id="first regex"),
        pytest.param("https://app.example.com/items/1a", "later numbers", id="second regex"),
        pytest.param("https://app.example.com/items/12/", "later numbers", id="regex is whole"),
        pytest.param("https://app.example.com/x/items/2", "app", id="regex is anchored"),
        pytest.param("https://app.example.com/please", "plain", id="plain prefix"),
        pytest.param("https://app.example.com/ADMIN/x", "shout", id="ignored case"),
        pytest.param("https://app.example.com/API", "app", id="case counts elsewhere"),
        pytest.param("https://app.example.com/b%C3%BCro/1", "ümlaut", id="path in Unicode"),
        pytest.param("https://app.example.com:8443/", "port", id="a port of its own"),
        pytest.param("https://app.example.com:8444/", None, id="another port"),
        pytest.param("http://app.example.com/", None, id="another scheme"),
        pytest.param("https://xn--bcher-kva.example.com/", "unicode", id="A-labels"),
        pytest.param("https://caps.example.com/x", "caps", id="host in normal form"),
        pytest.param("https://caps.example.com/", "one label", id="next pattern of the host"),
        pytest.param("https://other.example.com/", "one label", id="one label"),
        pytest.param("https://a.b.example.com/", "any depth", id="two labels"),
        pytest.param("https://x.deep.example.com/only", "deep one label", id="one label is nearer"),
        pytest.param("https://x.deep.example.com/", "deep", id="longer suffix"),
        pytest.param("https://deep.example.com/", "one label", id="a wildcard is a label"),
        pytest.param("https://example.com/", None, id="not the parent"),
        pytest.param("https://badexample.com/", None, id="not a suffix of letters"),
        pytest.param("https://other.example.com:8443/", None, id="wildcards have ports too"),
        pytest.param("http://localhost:8080/", "insecure", id="loopback"),
    ],
)
def test_the_most_specific_route_answers(url: str, name: str | None) -> None:
    origin, target = parse_url(url)
    found = HOSTS.index.match(origin, target)
    assert (None if found is None else found.name) == name


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        pytest.param("app.example.com", True, id="named"),
        pytest.param("some.thing.example.com", True, id="covered"),
        pytest.param("example.com", False, id="parent"),
        pytest.param("evil.test", False, id="stranger"),
    ],
)
def test_whether_an_origin_is_served(origin: str, known: bool) -> None:  # noqa: FBT001
    assert HOSTS.index.is_known_origin(Origin("https", origin)) is known


def test_the_routes_of_a_host_include_those_of_wildcards() -> None:
    names = [each.name for each in HOSTS.index.for_host(Origin("https", "caps.example.com"))]
    assert names == ["caps", "one label", "any depth"]


def test_letter_case_is_ignored_where_any_route_of_the_host_ignores_it() -> None:
    assert HOSTS.index.ignores_case(Origin("https", "app.example.com"))
    assert not HOSTS.index.ignores_case(Origin("https", "caps.example.com"))


def test_named_origins_are_listed() -> None:
    assert Origin("https", "app.example.com", 8443) in HOSTS.index.origins
    assert all("*" not in origin.host for origin in HOSTS.index.origins)


SEGMENT = st.sampled_from(["a", "b", "ab", "c"])
PATH = st.lists(SEGMENT, max_size=5).map(lambda segments: "/" + "/".join(segments))


def covers(prefix: str, path: str) -> bool:
    return prefix in ("/", path) or path.startswith(prefix + "/")


@given(prefixes=st.lists(PATH, unique=True, max_size=8), path=PATH)
def test_the_longest_covering_prefix_answers(prefixes: list[str], path: str) -> None:
    index = compile_routes(*(route(prefix, prefix=prefix) for prefix in prefixes)).index
    found = index.match(Origin("https", "app.example.com"), path)
    covering = [prefix for prefix in prefixes if covers(prefix, path)]
    assert (found and found.name) == (max(covering, key=len) if covering else None)


@given(prefixes=st.lists(PATH, unique=True, min_size=1, max_size=8), path=PATH, data=st.data())
def test_the_order_of_prefixes_says_nothing(
    prefixes: list[str], path: str, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(prefixes))
    origin = Origin("https", "app.example.com")
    one = compile_routes(*(route(prefix, prefix=prefix) for prefix in prefixes)).index.match(
        origin, path
    )
    two = compile_routes(*(route(prefix, prefix=prefix) for prefix in shuffled)).index.match(
        origin, path
    )
    assert (one and one.name) == (two and two.name)
