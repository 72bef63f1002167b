"""The challenge: nginx's second question, whose answer is the client's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.adapters.base import Allowed, HttpResponse, LoginRequired, Rejected, SubRequest
from tests.adapters.requests import REQUEST_BUILDERS, ClientRequest, find_adapter

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

NAVIGATION: Headers = (("accept", "text/html"),)
PAGE = ClientRequest(target="/a?b=1", headers=NAVIGATION)


def asked(original: ClientRequest, *reasons: str) -> SubRequest:
    raw = REQUEST_BUILDERS["nginx challenge"](original)
    headers = tuple(line for line in raw.headers if line[0] != "x-authz-reason")
    return replace(raw, headers=(*headers, *(("x-authz-reason", reason) for reason in reasons)))


def challenge(original: ClientRequest, *reasons: str) -> HttpResponse:
    adapter = find_adapter("nginx challenge")
    return adapter.render(Allowed(), adapter.parse(asked(original, *reasons)))


@pytest.mark.parametrize("reason", ["login", "forbidden", "bad-request", "throttled"])
def test_what_would_pass_now_is_asked_again(reason: str) -> None:
    reply = challenge(PAGE, reason)
    assert reply.status == 302
    assert ("location", "https://app.example.com/a?b=1") in reply.headers
    assert ("cache-control", "no-store") in reply.headers


@pytest.mark.parametrize(
    "original",
    [
        pytest.param(replace(PAGE, method="POST"), id="form without fetch metadata"),
        pytest.param(
            replace(
                PAGE,
                method="POST",
                headers=(("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")),
            ),
            id="form",
        ),
        pytest.param(replace(PAGE, headers=(("accept", "*/*"),)), id="script"),
        pytest.param(replace(PAGE, websocket=True), id="websocket"),
    ],
)
def test_what_cannot_simply_be_asked_again_is_unauthenticated(original: ClientRequest) -> None:
    reply = challenge(original, "login")
    assert reply.status == 401
    assert "error" in json.loads(reply.body)


@pytest.mark.parametrize("reasons", [(), ("",), ("login", "login")])
def test_a_refusal_of_nginx_itself_is_a_plain_403(reasons: tuple[str, ...]) -> None:
    reply = challenge(PAGE, *reasons)
    assert reply.status == 403
    assert "location" not in dict(reply.headers)


def test_a_refusal_of_ours_stands_whatever_the_reason_given() -> None:
    adapter = find_adapter("nginx challenge")
    request = adapter.parse(asked(PAGE))
    refused = Rejected(status=403, reason="email-unauthorized", message="Access denied.")
    assert b"email-unauthorized" in adapter.render(refused, request).body
    login = LoginRequired(location="https://app.example.com/.auth/start?rd=x", navigation=True)
    assert adapter.render(login, request).status == 302


def test_its_name_tells_it_from_the_first_question() -> None:
    assert find_adapter("nginx challenge").name != find_adapter("nginx").name
    assert find_adapter("nginx challenge").parse(asked(PAGE, "login")).adapter == "nginx"
