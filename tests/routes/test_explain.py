"""Explanations of whole requests, and that the gate answers what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.check.authorizer import Authorizer
from authz_sidecar.core.header_names import ProtectedNames
from authz_sidecar.core.types import CheckRequest, Deny, Session, SessionKind
from authz_sidecar.core.urls import Origin
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.routes.explain import ExplainedVerdict, explain_request, explained_verdict
from authz_sidecar.routes.explain_json import to_json
from authz_sidecar.tokens import AuthenticatorChain
from tests.policy.requests import ANN, NOW, request
from tests.policy.test_properties import REQUESTS, RULES, WHO
from tests.routes.settings import SOURCE_MAP, RouteSpec, compile_routes

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.routes.explain import ExplainedRequest

NAMES = ProtectedNames(("X-Department",))
ADMIN = {"deny": {"or": [{"http_path": {"starts_with": "/admin"}}]}}
INDEX = compile_routes(
    RouteSpec(name="app", allow_any_authenticated_user=True, policies=("admin",)),
    RouteSpec(name="public", prefix="/public", allow_public_unauthenticated_access=True),
    RouteSpec(
        name="greeting",
        prefix="/hello",
        allow_public_unauthenticated_access=True,
        identity="optional",
    ),
    RouteSpec(name="shouting", prefix="/loud", allow_any_authenticated_user=True,
             paths="ignore_case", policy=ADMIN),
    RouteSpec(name="guests", prefix="/guests", allow_any_authenticated_user=True,
             identity_provider=("guests",)),
    policies={"admin": ADMIN},
    providers=("corp", "guests"),
    default_provider="corp",
).index  # fmt: skip


def explained(path: str, who: Identity | None = ANN, **options: Any) -> ExplainedRequest:
    asked = replace(request(path=path), **options)
    return explain_request(INDEX, asked, who, names=NAMES, now=NOW)


@pytest.mark.parametrize(
    ("path", "who", "verdict", "reasons", "route"),
    [
        pytest.param("/", ANN, "allow", {"user-ok"}, "app", id="signed in"),
        pytest.param("/", None, "sign-in",
                     {"user-unauthenticated", "http-path-unauthorized"}, "app", id="not signed in"),
        pytest.param("/admin", ANN, "deny", {"http-path-ok"}, "app", id="denied"),
        pytest.param("/public", ANN, "allow", {"accept"}, "public", id="public"),
        pytest.param("/x;/..;/admin", ANN, "refused", {"bad-request"}, "app", id="readings"),
        pytest.param("/x/..%2fpublic", ANN, "refused", {"bad-request"}, None, id="two routes"),
        pytest.param("/%00", ANN, "refused", {"bad-request"}, None, id="control byte"),
        pytest.param("/guests", ANN, "sign-in", {"user-unauthenticated"}, "guests",
                     id="another provider"),
    ],
)  # fmt: skip
def test_verdicts(
    path: str, who: Identity | None, verdict: str, reasons: set[str], route: str | None
) -> None:
    found = explained(path, who)
    assert (str(found.verdict), set(found.reasons)) == (verdict, reasons)
    assert (found.route.name if found.route else None) == route


def test_a_host_without_a_route() -> None:
    found = explained("/", origin=Origin("https", "other.example.com"))
    assert (str(found.verdict), [*found.reasons]) == ("deny", ["route-not-found"])


def test_whose_session_does_not_count() -> None:
    assert explained("/guests").near_miss == "a session of `corp` is not accepted on this route"
    assert explained("/public").near_miss == "this route looks up no session"
    assert explained("/hello").near_miss is None
    assert explained("/public").identity is None


def test_the_websocket_of_another_site() -> None:
    headers = (("origin", "https://evil.example"),)
    found = explained("/", headers=headers, websocket=True)
    assert (str(found.verdict), [*found.reasons]) == ("deny", ["origin-not-allowed"])


@pytest.mark.parametrize("websocket", [False, True])
def test_an_upgrade_to_another_protocol(*, websocket: bool) -> None:
    found = explained("/", websocket=websocket, unsupported_upgrade=True)
    assert (str(found.verdict), [*found.reasons]) == ("deny", ["upgrade-not-allowed"])
    assert found.error == "it asks to switch to another protocol than WebSocket"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("x.auth.user", "x-auth-user", id="of the default preset"),
        pytest.param("x-department", None, id="spelled as it is"),
        pytest.param("x_department", "x-department", id="of a claim"),
        pytest.param("x-forwarded~user", "x-forwarded-user", id="of a family"),
        pytest.param("x.team", None, id="of no protected name"),
    ],
)
def test_a_header_that_could_be_taken_for_another(name: str, meant: str | None) -> None:
    found = explained("/public", headers=((name, "x"),))
    if meant is None:
        assert (found.verdict, found.error) == (ExplainedVerdict.ALLOW, None)
        return
    assert (found.verdict, [*found.reasons]) == (ExplainedVerdict.DENY, ["ambiguous-header"])
    assert found.error == f"the header `{name}` could be taken for `{meant}`"
    told = to_json(found, source_map=SOURCE_MAP, base_path="/.auth")
    assert (told["trouble"], told["route"]) == (found.error, None)


def test_two_credentials() -> None:
    headers = (("authorization", "a"), ("authorization", "b"))
    assert explained("/", headers=headers).verdict is ExplainedVerdict.REFUSED


def test_told_with_places_and_sources() -> None:
    told = to_json(explained("/admin"), source_map=SOURCE_MAP, base_path="/.auth")
    assert told["verdict"] == "deny"
    assert told["route"] == {
        "name": "app",
        "place": "https://app.example.com, prefix `/`",
        "at": "authz.yaml:10",
    }
    rules = told["readings"][0]["rules"]
    assert [(rule["source"], rule["decisive"]) for rule in rules] == [
        ("the route's shorthands", False),
        ("policy `admin`", True),
    ]
    assert rules[1]["criteria"] == [
        {
            "criterion": "http_path",
            "compares": {"starts_with": "/admin"},
            "found": "/admin",
            "note": None,
            "holds": True,
            "reasons": ["http-path-ok"],
            "at": "authz.yaml",
        }
    ]


def test_told_where_to_sign_in() -> None:
    told = to_json(explained("/a", None), source_map=SOURCE_MAP, base_path="/.auth")
    assert (
        "https://app.example.com/.auth/start?rd=https%3A%2F%2Fapp.example.com%2Fa"
        in (told["answer"])
    )


class _Sessions:
    """One person, signed in at one provider."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        if provider != self._identity.provider:
            return None
        return Session(
            public_id="h",
            kind=SessionKind.SIGN_IN,
            scope=scope,
            identity=self._identity,
            created_at=NOW,
            expires_at=NOW + 1,
        )


class _Cookies:
    """Everybody has one."""

    def name_for(self, provider: str, origin: Origin) -> str:
        return provider

    def read_token(self, lines: object, name: str) -> str:
        return name

    def scope_for(self, origin: Origin) -> str:
        return str(origin)


def gate(index: RouteIndex, who: Identity | None) -> Authorizer:
    nobody: Any = None
    sessions: Any = _Nobody() if who is None else _Sessions(who)
    cookies: Any = _Cookies()
    return Authorizer(
        index=index,
        names=NAMES,
        sessions=sessions,
        authenticators=AuthenticatorChain(()),
        cookies=cookies,
        responses=nobody,
        recorder=nobody,
        clock=lambda: NOW,
        timer=lambda: 0.0,
        request_id=lambda: "",
    )


class _Nobody:
    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        return None


def as_the_gate(index: RouteIndex, asked: CheckRequest, who: Identity | None) -> Any:
    judging = gate(index, who)._authorize(asked)
    try:
        judging.send(None)
    except StopIteration as done:
        decision = done.value.decision
        return explained_verdict(decision), decision.reasons
    except BadProxyRequest:
        return ExplainedVerdict.REFUSED, {"bad-request"}
    raise AssertionError("the gate waits for something")


PATHS = st.sampled_from(
    [
        "/",
        "/a",
        "/a/b",
        "/A/b",
        "/a%2fb",
        "/a//b",
        "/x/../a",
        "/a;v=1/b",
        "/%ff",
        "/..;/a",
        "/x/%2e%2e/a",
    ]
)
ROUTES = st.lists(
    st.builds(
        RouteSpec,
        prefix=st.sampled_from([None, "/a", "/a/b"]),
        policy=st.lists(RULES, max_size=2),
        paths=st.sampled_from(["exact", "ignore_case"]),
        identity_provider=st.sampled_from([None, ("guests",), ("guests", "corp")]),
        allow_public_unauthenticated_access=st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


NAMES_OF_HEADERS = st.sampled_from(["x-team", "x.team", "x-department", "x_department", "x!auth.a"])


@given(
    routes=ROUTES,
    asked=REQUESTS,
    path=PATHS,
    upgrade=st.tuples(st.booleans(), st.booleans()),
    header=NAMES_OF_HEADERS,
    who=WHO,
)
def test_the_gate_answers_what_is_explained(
    routes: list[RouteSpec],
    asked: CheckRequest,
    path: str,
    upgrade: tuple[bool, bool],
    who: Identity | None,
    *,
    header: str,
) -> None:
    index = compile_routes(*routes, providers=("corp", "guests"), default_provider="corp").index
    websocket, unsupported = upgrade
    headers = (*asked.headers, (header, "x"))
    asked = replace(
        asked, path=path, websocket=websocket, unsupported_upgrade=unsupported, headers=headers
    )
    found = explain_request(index, asked, who, names=NAMES, now=NOW)
    assert (found.verdict, found.reasons) == as_the_gate(index, asked, who)
    to_json(found, source_map=SOURCE_MAP, base_path="/.auth")


def test_the_gate_without_a_route() -> None:
    assert as_the_gate(INDEX, replace(request(), origin=Origin("https", "no.example")), None) == (
        explained_verdict(Deny()),
        {"route-not-found"},
    )
