"""Pomerium's cases about answers and assertions, as far as a sidecar gives them. What we
deliberately say otherwise is in the tables below; what is in none of them fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from authz_sidecar.check.responses import AuthorizationResult
from authz_sidecar.core.types import CheckRequest, Identity, Session, SessionKind
from authz_sidecar.core.urls import Origin, parse_origin
from authz_sidecar.identity.assertion import AssertionSigner, derive_signing_keys
from authz_sidecar.identity.groups import AllGroups
from authz_sidecar.policy.reasons import SUCCESS_BIT, outcome_of_failure, outcome_of_success
from authz_sidecar.policy.verdict import decision
from tests.routes.settings import RouteSpec, compile_routes
from tests.support.authorizer import ADAPTERS, KEYS, NOW, build_authorizer, header

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import HttpResponse

FILE = Path(__file__).parent.parent / "corpus" / "ppl_vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))

STATUS = {
    "permit": {200},
    "login": {302, 401},
    "denied-403": {403},
    # nginx says 401 and 403 alone, and the reason says which; a proxy that terminates TLS for its
    # clients has answers of its own for certificates.
    "client-cert-denied-495": {403},
    "denied-450": {403},
    # Neither devices nor tool calls have a transport yet: what asks for one is not open.
    "device-registration": {403},
    "denied-jsonrpc": {403},
}
ELSEWHERE = {"denied-robots"}
"""Answered by the web listener, to which the proxy sends `/robots.txt` without asking."""
OURS = "/.pomerium/"
"""Upstream's own pages are let through by path; ours are on another listener."""

NOT_OFFERED = {"set_request_headers", "jwt_groups_filter", "route_jwt_groups_filter"}
ISSUERS_OFFERED = {None, "hostOnly"}
PRESENT = ("jti", "iat", "exp")


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(each, id=each["id"]) for each in VECTORS if each["kind"] == kind]


def result(side: list[Any] | None) -> int:
    """`[held, reasons]`, with a third element that devices alone have."""
    held, codes = (side or [False, []])[:2]
    outcome = SUCCESS_BIT if held else 0
    for code in codes:
        outcome |= outcome_of_success(code) if held else outcome_of_failure(code)
    return outcome


def answered(vector: dict[str, Any]) -> HttpResponse:
    given, http = vector["input"]["result"], vector["input"]["http"]
    [route] = compile_routes(RouteSpec(allow_any_authenticated_user=True)).index.routes
    request = CheckRequest(
        adapter="traefik",
        method=http.get("method", "GET"),
        origin=parse_origin("https://app.example.com"),
        path=http.get("path", "/"),
        headers=tuple((name.lower(), value) for name, value in http.get("headers", {}).items()),
    )
    decided = decision(result(given.get("allow")), result(given.get("deny")))
    judged = AuthorizationResult(decision=decided, route=route)
    answer = build_authorizer().authorizer.responses.response(request, judged, "r1")
    return ADAPTERS["traefik"].render(answer, request)


@pytest.mark.parametrize("vector", of_kind("http_decision"))
def test_what_upstream_answers(vector: dict[str, Any]) -> None:
    expect, http = vector["expect"], vector["input"]["http"]
    if expect["outcome"] in ELSEWHERE or http.get("path", "").startswith(OURS):
        return
    reply = answered(vector)
    assert reply.status in STATUS[expect["outcome"]]
    accepts = http.get("headers", {}).get("Accept")
    if expect["outcome"] == "login":
        # Upstream redirects whoever does not object; we redirect who asks for a page.
        assert reply.status == (302 if accepts == "text/html" else 401)
        if accepts is not None:
            assert reply.status == expect["status"]
    if keys := expect.get("body_json_keys"):
        assert keys == [key for key in keys if key in json.loads(reply.body)]
    if reply.status == 403:
        assert header(reply, "x-authz-reason") in expect["reasons"]
        assert header(reply, "location") is None


@pytest.mark.parametrize("vector", of_kind("jwt_assertion"))
def test_what_upstream_asserts(vector: dict[str, Any]) -> None:
    config, expect, given = vector.get("config", {}), vector["expect"], vector["input"]
    host = given.get("http", {}).get("host", "app.example.com")
    wanted = expect.get("claims", {})
    if "service_account" in given:
        return
    if "directory_user" in given:
        wanted = {key: value for key, value in wanted.items() if key != "groups"}
    if wanted.get("iss", host) != host:
        assert {*config.values()} - ISSUERS_OFFERED, "another form of the issuer is not offered"
        wanted = {key: value for key, value in wanted.items() if key != "iss"}
    if "headers" in expect and not wanted:
        assert config.keys() <= NOT_OFFERED or set(expect["headers"].values()) == {None}
    said = assertion(given, host, tuple(config.get("jwt_claims_headers", ())))
    assert {key: said[key] for key in wanted} == wanted
    assert all(said[key] for key in (*PRESENT, *expect.get("claims_present", ())))
    assert said["exp"] - said["iat"] == expect.get("exp_minus_iat", 300)
    assert isinstance(said["groups"], list)


def assertion(given: dict[str, Any], host: str, claims: tuple[str, ...]) -> dict[str, Any]:
    """Of the session, as the person it stands for."""
    session = given.get("session", {})
    acting = next(
        (
            other
            for other in given.get("other_sessions", ())
            if other["id"] == session.get("impersonate_session_id")
        ),
        session,
    )
    known = acting.get("claims", {})
    identity = Identity(
        provider="corp",
        issuer="https://idp.example.com",
        subject=acting.get("user_id", "u1"),
        name=next(iter(known.get("name", ())), None),
        groups=tuple(known.get("groups", ())),
        claims=known,
    )
    signer = AssertionSigner(
        derive_signing_keys(KEYS),
        ttl=300,
        group_filter=AllGroups(),
        clock=lambda: NOW,
        extra_claims=claims,
    )
    token = signer.assertion_for(
        Session(
            public_id=session.get("id", "s1"),
            kind=SessionKind.SIGN_IN,
            scope=f"https://{host}",
            identity=identity,
            created_at=NOW,
            expires_at=NOW + 3600,
        ),
        Origin("https", host),
    )
    return jwt.decode(token, options={"verify_signature": False})
