"""What routes tell applications besides who the user is."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from authz_sidecar.core.header_template import parse_header_template
from authz_sidecar.core.types import CheckRequest, ClientCertificate
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.identity.templates import TemplateRenderer
from tests.identity.test_headers import session

PEM = "-----BEGIN CERTIFICATE-----"


class Facts(NamedTuple):
    fingerprint: str = "ab" * 32
    dns: tuple[str, ...] = ("laptop.test", "a,b", "desk.test")
    emails: tuple[str, ...] = ("ann@test", "zoë@test")


REQUEST = CheckRequest(
    adapter="nginx",
    method="GET",
    origin=parse_origin("https://app.example.com"),
    path="/",
    headers=(("x-team", "blue"), ("x-twice", "1"), ("x-twice", "2"), ("x-odd", "caf\xe9\x01 50%")),
    certificate=ClientCertificate(presented=True, valid=True, pem=PEM),
)


def rendered(text: str, request: CheckRequest = REQUEST, *, known: bool = True) -> str:
    templates = TemplateRenderer(
        assertion_for=lambda session, origin: f"signed.{session.public_id}.{origin.host}",
        read_certificate=lambda pem: Facts() if pem == PEM else None,
    )
    found = templates.render(
        (("X-It", parse_header_template(text)),), request, session() if known else None
    )
    return found["x-it"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("static", "static", id="text"),
        pytest.param("Bearer ${pomerium.jwt}", "Bearer signed.h1.app.example.com", id="assertion"),
        pytest.param('${pomerium.request.headers["X-Team"]}', "blue", id="header"),
        pytest.param("$pomerium.request.headers.X-Team", "blue", id="header, short"),
        pytest.param("$pomerium.request.headers.x-twice", "", id="a repeated header is none"),
        pytest.param("$pomerium.request.headers.x-none", "", id="absent header"),
        pytest.param("$pomerium.request.headers.x-odd", "caf%C3%A9%01 50%", id="odd bytes"),
        pytest.param("$pomerium.client_cert_fingerprint", "ab" * 32, id="fingerprint"),
        pytest.param("$pomerium.client_cert_san_dns", "laptop.test,desk.test", id="dns names"),
        pytest.param("$pomerium.client_cert_san_email", "ann@test,zo%C3%AB@test", id="emails"),
        pytest.param("[${pomerium.nothing}]", "[]", id="unknown reference"),
        pytest.param("[${other.jwt}]", "[]", id="unknown root"),
        pytest.param("  $$5  ", "$5", id="blanks around"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert rendered(text) == value


def test_nobody_has_no_assertion() -> None:
    assert rendered("${pomerium.jwt}", known=False) == ""


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(None, id="unknown"),
        pytest.param(ClientCertificate(presented=False, valid=False), id="none"),
        pytest.param(ClientCertificate(presented=True, valid=False, pem=PEM), id="not vouched for"),
        pytest.param(ClientCertificate(presented=True, valid=True), id="not sent along"),
        pytest.param(ClientCertificate(presented=True, valid=True, pem="?"), id="unreadable"),
    ],
)
@pytest.mark.parametrize("name", ["fingerprint", "san_dns", "san_email"])
def test_only_a_verified_certificate_says_something(
    certificate: ClientCertificate | None, name: str
) -> None:
    request = replace(REQUEST, certificate=certificate)
    assert rendered(f"$pomerium.client_cert_{name}", request) == ""
