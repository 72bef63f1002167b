from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from authz_sidecar.core.types import Allow, CheckRequest, Deny, Identity, RequestAttribute
from authz_sidecar.core.urls import Origin, parse_origin
from authz_sidecar.policy import decide, partially_evaluate
from authz_sidecar.policy.explain import explain
from authz_sidecar.policy.records import static_tables
from tests.routes.settings import RouteSpec, compile_routes

APP = Origin("https", "app.example.com")
ANN = Identity(provider="corp", issuer="https://idp.test", subject="u1", email="ann@corp.test")
NOBODY = {"allow": {"or": [{"reject": 1}]}}
PUBLIC = {"allow": {"or": [{"accept": 1}]}}


def request(path: str = "/") -> CheckRequest:
    return CheckRequest(adapter="test", method="GET", origin=APP, path=path)


def messages(*routes: RouteSpec, **options: object) -> list[str]:
    return [str(problem) for problem in compile_routes(*routes, **options).problems]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            RouteSpec(from_="app.example.com"),
            "routes[0].from: `app.example.com` is not an origin such as `https://app.example.com`",
            id="no scheme",
        ),
        pytest.param(
            RouteSpec(from_="https://app.*.com"),
            "routes[0].from: `https://app.*.com` has a `*` that is not at the beginning: `*.example.com`"
            " covers one label, `**.example.com` any number of them",
            id="wildcard inside",
        ),
        pytest.param(
            RouteSpec(from_="https://*.0.0.1"),
            "routes[0].from: `https://*.0.0.1` is a wildcard over addresses: name the addresses",
            id="wildcard over addresses",
        ),
        pytest.param(
            RouteSpec(from_="https://app.example.com/x"),
            "routes[0].from: `app.example.com/x` is not a host name",
            id="path in the origin",
        ),
        pytest.param(
            RouteSpec(from_="https://straße.example.com"),
            "routes[0].from: `straße.example.com` has two spellings in DNS: write its `xn--` form",
            id="disputed letters",
        ),
        pytest.param(
            RouteSpec(
                paths="ignore_case",
                policy={"deny": {"or": [{"http_path": {"in": ["/ok", "/Admin"]}}]}},
            ),
            "routes[0].policy.deny.or[0].http_path: a route with `paths: ignore_case` compares in"
            " lower case: write the path in lower case",
            id="capitals where case is ignored",
        ),
        pytest.param(
            RouteSpec(from_="http://app.example.com"),
            "routes[0].from: `http://` is for loopback names only, unless"
            " `server.allow_insecure_http: true`",
            id="insecure",
        ),
        pytest.param(
            RouteSpec(prefix="/a", path="/b"),
            "routes[0]: give only one of `prefix`, `path`",
            id="two places",
        ),
        pytest.param(
            RouteSpec(prefix="/a%2fb"),
            "routes[0].prefix: `/a%2fb` contains `%`: write the path decoded",
            id="encoded",
        ),
        pytest.param(
            RouteSpec(path="/a//b"),
            "routes[0].path: `/a//b` contains `//`: a request with such a path is refused",
            id="never passes",
        ),
        pytest.param(
            RouteSpec(path="/a/../b"),
            "routes[0].path: `/a/../b` contains `/../`: a request with such a path is refused",
            id="never passes either",
        ),
        pytest.param(
            RouteSpec(path="a"), "routes[0].path: `a` does not begin with `/`", id="relative"
        ),
        pytest.param(
            RouteSpec(regex="/a("),
            "routes[0].regex: `/a(` is not a pattern: missing ): /a(",
            id="regex",
        ),
        pytest.param(
            RouteSpec(policies=("engineer",)),
            "routes[0].policies[0]: unknown policy `engineer`: did you mean `engineers`?",
            id="mistyped policy",
        ),
        pytest.param(
            RouteSpec(identity_provider=("corq",)),
            "routes[0].identity_provider[0]: unknown identity provider `corq`: did you mean `corp`?",
            id="mistyped provider",
        ),
        pytest.param(
            RouteSpec(policy={"allow": {"and": [{"emial": "a"}]}}),
            "routes[0].policy.allow.and[0].emial: unknown criterion `emial`: did you mean `email`?",
            id="mistake in a policy",
        ),
        pytest.param(
            RouteSpec(allow_public_unauthenticated_access=True, allowed_users=("a@corp.test",)),
            "routes[0].allowed_users: `allow_public_unauthenticated_access` makes `allowed_users`"
            " meaningless: give one of them",
            id="contradiction",
        ),
        pytest.param(
            RouteSpec(
                allow_public_unauthenticated_access=True,
                identity="none",
                policy={"deny": {"or": [{"email": "bob@corp.test"}]}},
            ),
            "routes[0].identity: cannot be `none`: the policy needs to know the user",
            id="who is nobody",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(settings: RouteSpec, message: str) -> None:
    assert messages(settings, policies={"engineers": PUBLIC}) == [f"authz.yaml:10:3: {message}"]


def test_all_routes_are_judged_before_anything_is_said() -> None:
    found = messages(
        RouteSpec(name="one", path="x", policies=("none",)),
        RouteSpec(name="one", policy=3),
        policies={"broken": {"allow": 1}},
    )
    assert len(found) == 5


def test_a_broken_route_refuses_and_the_rest_is_served() -> None:
    result = compile_routes(
        RouteSpec(name="broken", prefix="/admin", policy={"allow": {"or": [{"grups": "x"}]}}),
        RouteSpec(name="all", policy=PUBLIC),
    )
    assert result.problems
    broken, served = result.index.match(APP, "/admin/x"), result.index.match(APP, "/")
    assert broken is not None
    assert served is not None
    assert decide(broken.policy, request(), ANN, now=0) == Deny(frozenset({"route-misconfigured"}))
    assert isinstance(decide(served.policy, request(), None, now=0), Allow)


def test_a_route_whose_path_is_broken_closes_every_path_it_might_have_meant() -> None:
    index = compile_routes(
        RouteSpec(name="broken", path="oops", policy=PUBLIC), RouteSpec(policy=PUBLIC)
    ).index
    found = index.match(APP, "/anything")
    assert found is not None
    assert isinstance(decide(found.policy, request(), ANN, now=0), Deny)


def test_a_broken_named_policy_breaks_the_routes_that_use_it() -> None:
    result = compile_routes(
        RouteSpec(name="uses it", policies=("bad", "good")),
        RouteSpec(name="does not", prefix="/ok", policies=("good",)),
        policies={"bad": {"allow": 3}, "good": PUBLIC},
    )
    assert len(result.problems) == 1
    uses, does_not = result.index.routes
    assert isinstance(decide(uses.policy, request(), ANN, now=0), Deny)
    assert isinstance(decide(does_not.policy, request(), ANN, now=0), Allow)


def test_shorthands_and_policies_are_alternatives() -> None:
    result = compile_routes(
        RouteSpec(allowed_domains=("corp.test",), policies=("nobody",), policy=NOBODY),
        policies={"nobody": NOBODY},
    )
    assert result.problems == ()
    (route,) = result.index.routes
    assert isinstance(decide(route.policy, request(), ANN, now=0), Allow)


def test_a_route_without_any_policy_refuses_everybody() -> None:
    (route,) = compile_routes(RouteSpec()).index.routes
    assert decide(route.policy, request(), ANN, now=0) == Deny()
    assert decide(route.policy, request(), None, now=0) == Deny()


def test_facts_that_no_proxy_tells() -> None:
    settings = RouteSpec(policy={"allow": {"and": [{"source_ip": "10.0.0.0/8"}]}})
    (problem,) = compile_routes(
        settings,
        available_attributes=frozenset(RequestAttribute) - {RequestAttribute.CLIENT_ADDRESS},
    ).problems
    assert "not every enabled adapter delivers the client address" in problem.message


@pytest.mark.parametrize(
    ("settings", "use", "public"),
    [
        pytest.param(RouteSpec(allow_any_authenticated_user=True), "required", False, id="private"),
        pytest.param(
            RouteSpec(allow_public_unauthenticated_access=True), "none", True, id="public"
        ),
        pytest.param(
            RouteSpec(allow_public_unauthenticated_access=True, identity="optional"),
            "optional",
            True,
            id="public, and who comes is told",
        ),
        pytest.param(
            RouteSpec(
                allow_public_unauthenticated_access=True,
                policy={"deny": {"or": [{"email": "bob@corp.test"}]}},
            ),
            "required",
            True,
            id="public but for somebody",
        ),
    ],
)
def test_whether_a_session_is_looked_for(settings: RouteSpec, use: str, public: bool) -> None:  # noqa: FBT001
    (route,) = compile_routes(settings).index.routes
    assert (route.identity, route.public) == (use, public)


def test_providers_of_a_route() -> None:
    index = compile_routes(
        RouteSpec(name="default"),
        RouteSpec(name="both", prefix="/both", identity_provider=("corp", "guests")),
        providers=("corp", "guests"),
        default_provider="corp",
    ).index
    assert [route.providers for route in index.for_host(APP)] == [("corp",), ("corp", "guests")]
    assert [route.policy.qualified_users for route in index.routes] == [False, True]


def test_other_sites_that_may_open_websockets() -> None:
    origin = parse_origin("https://other.test")
    (route,) = compile_routes(RouteSpec(allowed_origins=(origin,))).index.routes
    assert route.allowed_origins == ("https://other.test",)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        pytest.param(
            RouteSpec(name="a"),
            RouteSpec(name="b", prefix="/"),
            "no request reaches it: `a` comes first with the same host and paths",
            id="same prefix",
        ),
        pytest.param(
            RouteSpec(name="a", prefix="/x/"),
            RouteSpec(name="b", prefix="/x"),
            "no request reaches it: `a` comes first with the same host and paths",
            id="a trailing slash says nothing",
        ),
        pytest.param(
            RouteSpec(name="a", from_="https://APP.example.com.:443", path="/x"),
            RouteSpec(name="b", path="/x"),
            "no request reaches it: `a` comes first with the same host and paths",
            id="same host in another spelling",
        ),
        pytest.param(
            RouteSpec(name="a", regex="/.*"),
            RouteSpec(name="b", prefix="/x"),
            "no request reaches it: the regex of `a` matches every path first",
            id="behind a regex for everything",
        ),
    ],
)
def test_routes_that_never_answer(first: RouteSpec, second: RouteSpec, message: str) -> None:
    result = compile_routes(first, second)
    assert result.problems == ()
    assert [str(warning) for warning in result.warnings] == [
        f"authz.yaml:20:3: routes[1]: {message}"
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(RouteSpec(prefix="/x"), RouteSpec(path="/x"), id="exact before prefix"),
        pytest.param(
            RouteSpec(prefix="/x"),
            RouteSpec(prefix="/x", prefix_match="plain"),
            id="plain is wider",
        ),
        pytest.param(RouteSpec(regex="/.*"), RouteSpec(path="/x"), id="exact before regex"),
        pytest.param(
            RouteSpec(prefix="/x"), RouteSpec(prefix="/X", paths="ignore_case"), id="letter case"
        ),
        pytest.param(
            RouteSpec(from_="https://*.example.com"),
            RouteSpec(from_="https://**.example.com"),
            id="deeper wildcard",
        ),
    ],
)
def test_routes_that_do(first: RouteSpec, second: RouteSpec) -> None:
    assert compile_routes(first, second).warnings == ()


BROKEN_POLICY = {"allow": {"or": [{"emial": {"is": "a@b.c"}}]}}


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        pytest.param(RouteSpec(policy=BROKEN_POLICY, prefix="/x"), "/x", id="policy of its own"),
        pytest.param(RouteSpec(policies=("broken",), prefix="/x"), "/x", id="named policy"),
        pytest.param(RouteSpec(policies=("nobodys",), prefix="/x"), "/x", id="unknown policy"),
        pytest.param(RouteSpec(regex="/x("), "/open/y", id="path that may be any"),
        pytest.param(RouteSpec(path="x"), "/open", id="exact path that may be any"),
        pytest.param(
            RouteSpec(path="x", paths="ignore_case"),
            "/open/y",
            id="path in any case that may be any",
        ),
        pytest.param(
            RouteSpec(identity_provider=("who",), prefix="/x", policy=PUBLIC), "/x", id="provider"
        ),
        pytest.param(
            RouteSpec(
                prefix="/x",
                allow_public_unauthenticated_access=True,
                identity="none",
                policy={"deny": {"or": [{"user": {"is": "a"}}]}},
            ),
            "/x",
            id="a policy that asks who nobody says",
        ),
        pytest.param(
            RouteSpec(name="open", prefix="/x", policy=PUBLIC), "/x", id="name of another"
        ),
    ],
)
def test_a_broken_route_is_refused_alone(broken: RouteSpec, path: str) -> None:
    wide = RouteSpec(
        name="open", regex="/.{0,20}", allow_public_unauthenticated_access=True, policy=PUBLIC
    )
    other = RouteSpec(from_="https://other.example.com", policy=PUBLIC)
    result = compile_routes(wide, broken, other, policies={"broken": BROKEN_POLICY})
    assert result.problems
    assert result.without_location == ()
    (refused,) = result.misconfigured
    if broken.prefix is None:
        assert result.index.match(APP, path) is refused
    assert decide(refused.policy, request(path), ANN, now=0) == Deny(
        frozenset({"route-misconfigured"})
    )
    sound = result.index.match(parse_origin("https://other.example.com"), "/")
    assert sound is not None
    assert isinstance(decide(sound.policy, request(), None, now=0), Allow)


def test_plain_http_is_refused_where_it_was_not_allowed() -> None:
    result = compile_routes(RouteSpec(from_="http://app.example.com", policy=PUBLIC))
    assert [str(route.host) for route in result.misconfigured] == ["http://app.example.com"]


def test_a_route_without_a_place_stops_everything() -> None:
    """A wildcard would answer for the host that was meant."""
    result = compile_routes(
        RouteSpec(from_="https://admin..example.com", policy=BROKEN_POLICY),
        RouteSpec(from_="https://**.example.com", allow_public_unauthenticated_access=True),
    )
    assert len(result.problems) == 2
    assert len(result.without_location) == 1
    assert result.misconfigured == ()


def test_a_broken_policy_that_nobody_uses() -> None:
    result = compile_routes(RouteSpec(policy=PUBLIC), policies={"broken": BROKEN_POLICY})
    assert result.problems
    assert result.misconfigured == ()


@pytest.mark.parametrize(
    ("user", "client", "passes"),
    [
        pytest.param("u1", "10.1.2.3", True, id="all held"),
        pytest.param("u2", "10.1.2.3", False, id="another record"),
        pytest.param("u3", "10.1.2.3", False, id="no record"),
        pytest.param("u1", "10.2.2.3", False, id="another network"),
        pytest.param("u1", None, False, id="unknown address"),
    ],
)
def test_policies_look_up_records(user: str, client: str | None, passes: bool) -> None:  # noqa: FBT001
    """In whatever way they are asked."""
    records = static_tables(
        users={"staff": {"u1": {"level": 4}, "u2": {"level": 2}}},
        networks={"sites": {"10.1.0.0/16": {"name": "hq"}}},
    )
    rules = [
        {"record": {"type": "staff", "field": "level", ">=": 3}},
        {"record": {"type": "sites", "by": "address", "field": "name", "is": "hq"}},
    ]
    result = compile_routes(RouteSpec(policy={"allow": {"and": rules}}), records=records)
    assert result.problems == ()
    route = result.index.match(APP, "/")
    assert route is not None
    asked = replace(request(), client=None if client is None else ip_address(client))
    who = replace(ANN, subject=user)
    decision = decide(route.policy, asked, who, now=0)
    assert isinstance(decision, Allow) is passes
    assert partially_evaluate(route.policy, who, now=0).decide(asked) == decision
    assert explain(route.policy, asked, who, now=0).decision == decision


def test_hosts_that_are_signed_in_together_are_hosts_of_ours() -> None:
    together = RouteSpec(
        depends_on=tuple(
            map(parse_origin, ("https://api.example.com", "https://a.wild.test", "https://no.test"))
        )
    )
    found = compile_routes(
        together, RouteSpec(from_="https://api.example.com"), RouteSpec(from_="https://*.wild.test")
    )
    [problem] = found.problems
    assert "`https://no.test`" in problem.message
    assert found.index.routes[0].depends_on[:1] == ("https://api.example.com",)
