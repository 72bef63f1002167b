"""Requests, people and policies for tests of this room."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.source_locations import unknown_locations
from authz_sidecar.core.types import CheckRequest, Identity, RequestAttribute
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy import compile_policy

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers
    from authz_sidecar.policy import Policy

NOW = 1_772_625_600.0  # Wednesday, 4 March 2026, 12:00 UTC

ANN = Identity(
    provider="corp",
    issuer="https://idp.corp.test",
    subject="u1",
    email="ann@corp.test",
    groups=("eng", "ops"),
    claims={"department": "it", "address": {"country": "NZ"}, "level": 3},
    authenticated_at=NOW - 600,
    acr="2fa",
    amr=("pwd", "otp"),
)
BARE = Identity(provider="corp", issuer="https://idp.corp.test", subject="u2")


def policy(document: object, **options: Any) -> Policy:
    return compile_policy(document, source_map=unknown_locations("policy.yaml"), **options)


def allow(*criteria: object, combinator: str = "and", **options: Any) -> Policy:
    return policy({"allow": {combinator: list(criteria)}}, **options)


def request(
    *,
    method: str = "GET",
    path: str = "/",
    query: str | None = None,
    client: str | None = "10.1.2.3",
    headers: Headers = (),
    facts: frozenset[RequestAttribute] = frozenset(RequestAttribute),
) -> CheckRequest:
    return CheckRequest(
        adapter="test",
        method=method,
        origin=Origin("https", "app.example.com"),
        path=path,
        query=query,
        client=None if client is None else ip_address(client),
        headers=headers,
        attributes=facts,
    )
