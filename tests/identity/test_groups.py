from __future__ import annotations

from authz_sidecar.core.types import Identity
from authz_sidecar.core.urls import Origin
from authz_sidecar.identity.groups import AllGroups, filter_by_names, filter_by_policies
from tests.routes.settings import RouteSpec, compile_routes

APP, OTHER = Origin("https", "app.example.com"), Origin("https", "other.example.com")
ALICE = Identity(
    provider="corp", issuer="https://i", subject="a", groups=("admins", "eng", "choir", "ops")
)


def needing(group: str) -> object:
    return {"allow": {"and": [{"groups": {"has": group}}]}}


def test_all() -> None:
    assert AllGroups()(ALICE, APP) == ALICE.groups


def test_named() -> None:
    assert filter_by_names(("choir", "absent"))(ALICE, APP) == ("choir",)


def test_those_that_any_policy_of_the_host_mentions() -> None:
    index = compile_routes(
        RouteSpec(policy=needing("eng")),
        RouteSpec(prefix="/admin", policy=needing("admins")),
        RouteSpec(from_="https://*.example.com", policy=needing("ops")),
        RouteSpec(from_="https://other.example.com", policy=needing("choir")),
    ).index
    chosen = filter_by_policies(index)
    assert chosen(ALICE, APP) == ("admins", "eng", "ops")
    assert chosen(ALICE, OTHER) == ("choir", "ops")
    assert chosen(ALICE, Origin("https", "unknown.test")) == ()
