"""What the controller says in the address of its question, where no client can write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.adapters.client_certificates import CertificateHeader
from authz_sidecar.adapters.ingress_nginx import auth_url_path
from authz_sidecar.core.types import ClientCertificate
from authz_sidecar.errors import BadProxyRequest, ProxyMisconfigured
from tests.adapters.requests import find_adapter, ingress_nginx_target
from tests.servers.certificate import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.core.types import CheckRequest

HOST = "app.example.com"
PLAIN = f"host={HOST}&upgrade="


def parse(
    url: str = f"https://{HOST}/",
    query: str | None = PLAIN,
    *,
    certificate: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
) -> CheckRequest:
    adapter = find_adapter(
        "ingress-nginx",
        certificate=CertificateHeader(name="ssl-client-cert", format="nginx")
        if certificate
        else None,
    )
    return adapter.parse(
        SubRequest(
            method="GET",
            target="/auth/ingress-nginx" if query is None else f"/auth/ingress-nginx?{query}",
            headers=(("x-original-url", url), ("x-original-method", "GET"), *headers),
            peer=None,
        )
    )


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        pytest.param("https://app.example.com/", "app.example.com", "/", id="root"),
        pytest.param("https://app.example.com//a//b", "app.example.com", "//a//b", id="slashes"),
        pytest.param(
            "https://app.example.com/a?rd=https://b.c/d",
            "app.example.com",
            "/a?rd=https://b.c/d",
            id="URL in the query",
        ),
        pytest.param("https://a.b/@c.d/", "a.b", "/@c.d/", id="sign in the path"),
    ],
)
def test_the_url_is_taken_apart(url: str, host: str, target: str) -> None:
    request = parse(url, f"host={host}&upgrade=")
    assert (request.origin.host, request.target) == (host, target)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("/a", id="path alone"),
        pytest.param("//app.example.com/a", id="no scheme"),
        pytest.param("https:/app.example.com/a", id="one slash"),
        pytest.param("https:///a", id="no host"),
        pytest.param("https://app.example.com", id="no path"),
        pytest.param("https://app.example.com?x=/a", id="query for a path"),
        pytest.param("https://app.example.com#/a", id="fragment for a path"),
        pytest.param("https://a@app.example.com/a", id="userinfo"),
        pytest.param("https://app.example.com\\@admin.example.com/", id="backslash"),
        pytest.param("ftp://app.example.com/a", id="other scheme"),
        pytest.param(" https://app.example.com/a", id="leading space"),
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(BadProxyRequest):
        parse(url)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        pytest.param("app.example.com", "app.example.com", id="plain"),
        pytest.param("APP.Example.com", "app.example.com", id="letter case"),
        pytest.param("app.example.com.", "app.example.com", id="trailing dot"),
        pytest.param("app.example.com:8443", "app.example.com", id="port"),
        pytest.param("app.example.com.:443", "app.example.com", id="dot and port"),
        pytest.param("127.0.0.1:8443", "127.0.0.1", id="IPv4"),
        pytest.param("[::1]", "[::1]", id="IPv6"),
        pytest.param("[2001:DB8::1]:8443", "[2001:db8::1]", id="IPv6 and port"),
    ],
)
def test_the_host_that_is_acted_on_agrees(authority: str, host: str) -> None:
    request = parse(f"https://{authority}/a", f"host={host}&upgrade=")
    assert request.origin.host == host


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("admin.example.com", id="another host"),
        pytest.param("", id="no host"),
        pytest.param("_", id="the controller's default server"),
        pytest.param("app.example.com:443", id="with a port"),
        pytest.param("app.example.com.", id="with a trailing dot"),
        pytest.param("APP.example.com", id="in upper case"),
        pytest.param("app.example.com,admin.example.com", id="two"),
        pytest.param("admin.example.com%26host=app.example.com", id="an escape"),
        pytest.param("app.example.com#", id="fragment"),
        pytest.param("app.example.com?x", id="second question mark"),
        pytest.param("app.example.com/", id="slash"),
        pytest.param("$host", id="nginx's variable itself"),
    ],
)
def test_a_host_that_differs_is_refused_and_named(host: str) -> None:
    with pytest.raises(BadProxyRequest, match="the controller serves") as refused:
        parse(query=f"host={host}&upgrade=")
    assert not isinstance(refused.value, ProxyMisconfigured)


# The client's `Host` and `Upgrade` are the values; whatever is in them, the annotation is not to blame.
@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"host=admin.example.com&host={HOST}&upgrade=", id="two hosts"),
        pytest.param(f"host={HOST}&x=y&upgrade=", id="something between"),
        pytest.param(f"host={HOST}&upgrade=&x=y", id="something behind"),
        pytest.param(f"host={HOST}&upgrade=websocket&upgrade=", id="two upgrades"),
        pytest.param(f"host={HOST}&&upgrade=", id="nothing between"),
        pytest.param(f"host={HOST}&upgrade=&", id="nothing behind"),
        pytest.param(f"host={HOST}&upgrade=&certificate=NONE,", id="a certificate nobody wants"),
    ],
)
def test_a_question_with_more_than_it_should_is_refused(query: str) -> None:
    with pytest.raises(BadProxyRequest, match="parameters") as refused:
        parse(query=query)
    assert not isinstance(refused.value, ProxyMisconfigured)


@pytest.mark.parametrize("certificate", [False, True], ids=["plain", "certificate"])
@pytest.mark.parametrize(
    "query",
    [
        pytest.param(None, id="the annotation as it was"),
        pytest.param("", id="empty"),
        pytest.param(f"host={HOST}", id="the host alone"),
        pytest.param("upgrade=", id="the upgrade alone"),
        pytest.param(f"upgrade=&host={HOST}", id="another order"),
        pytest.param(f"Host={HOST}&Upgrade=", id="other letters"),
        pytest.param(f"x=y&host={HOST}&upgrade=", id="something before"),
    ],
)
@pytest.mark.parametrize(
    "forged",
    [
        pytest.param((), id="nothing forged"),
        pytest.param(
            (
                *(("host", HOST), ("x-authz-host", HOST), ("x-forwarded-host", HOST)),
                *(("upgrade", "websocket"), ("ssl-client-cert", "SUCCESS x")),
            ),
            id="forged",
        ),
    ],
)
def test_an_annotation_that_leaves_a_fact_out_is_named(
    query: str | None, forged: tuple[tuple[str, str], ...], *, certificate: bool
) -> None:
    """Nothing that a client can write stands in for it."""
    with pytest.raises(ProxyMisconfigured) as refused:
        parse(query=query, certificate=certificate, headers=forged)
    assert "auth-url" in str(refused.value)
    assert auth_url_path(certificate=certificate) in str(refused.value)


@given(
    host=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=40),
    upgrade=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=20),
    certificate=st.booleans(),
)
def test_no_client_makes_the_annotation_look_wrong(
    host: str,
    upgrade: str,
    certificate: bool,  # noqa: FBT001
) -> None:
    """Whatever nginx puts in the place of its variables."""
    asked = auth_url_path(certificate=certificate).partition("?")[2]
    query = asked.replace("$host", host).replace("$http_upgrade", upgrade)
    try:
        request = parse(f"https://{HOST}/", query, certificate=certificate)
    except ProxyMisconfigured:
        pytest.fail(query)
    except BadProxyRequest:
        assert host != HOST or "&" in upgrade
    else:
        assert host == HOST
        assert request.unsupported_upgrade == (
            upgrade.strip(" \t").lower() not in ("", "websocket")
        )


@pytest.mark.parametrize(
    ("upgrade", "websocket", "unsupported"),
    [
        pytest.param("", False, False, id="none"),
        pytest.param("websocket", True, False, id="WebSocket"),
        pytest.param("WebSocket", True, False, id="letter case"),
        pytest.param("h2c", False, True, id="h2c"),
        pytest.param("h2c,websocket", False, True, id="a list"),
        pytest.param("websocket%20", False, True, id="an escape"),
        pytest.param("tcp", False, True, id="another protocol"),
    ],
)
def test_the_upgrade_is_told(upgrade: str, *, websocket: bool, unsupported: bool) -> None:
    request = parse(query=f"host={HOST}&upgrade={upgrade}")
    assert (request.websocket, request.unsupported_upgrade) == (websocket, unsupported)
    assert not request.header_values("upgrade"), "no rule may rest on it"


def test_an_upgrade_in_a_header_counts_too() -> None:
    assert parse(headers=(("upgrade", "h2c"),)).unsupported_upgrade
    both = parse(query=f"host={HOST}&upgrade=websocket", headers=(("upgrade", "websocket"),))
    assert both.unsupported_upgrade


@pytest.fixture(scope="module")
def escaped(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory: Path = tmp_path_factory.mktemp("client")
    return quote(make_certificate(directory, ("laptop.example.com",)).chain.read_text(), safe="")


def told(certificate: str, *headers: tuple[str, str]) -> ClientCertificate | None:
    query = ingress_nginx_target(HOST, certificate=certificate).partition("?")[2]
    return parse(query=query, certificate=True, headers=headers).certificate


def test_a_certificate_in_the_address(escaped: str) -> None:
    valid, failed = told(f"SUCCESS,{escaped}"), told(f"FAILED:expired,{escaped}")
    assert valid is not None
    assert (valid.presented, valid.valid) == (True, True)
    assert failed == replace(valid, valid=False)
    assert told("NONE,") == ClientCertificate(presented=False, valid=False)


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param("", id="nothing"),
        pytest.param(",", id="no TLS"),
        pytest.param("SUCCESS,", id="a verdict alone"),
        pytest.param(",{}", id="a certificate alone"),
        pytest.param("{}", id="without the comma"),
        pytest.param("NONE,{}", id="none, and one"),
        pytest.param("GRANTED,{}", id="another verdict"),
        pytest.param("SUCCESS,{0}{0}", id="two"),
    ],
)
def test_anything_else_says_nothing_of_certificates(certificate: str, escaped: str) -> None:
    assert told(certificate.format(escaped)) is None


def test_no_header_tells_of_certificates(escaped: str) -> None:
    """The controller writes `ssl-client-cert` on servers with an authority for clients alone."""
    forged = (("ssl-client-cert", escaped), ("ssl-client-verify", "SUCCESS"))
    assert told("NONE,", *forged) == ClientCertificate(presented=False, valid=False)
    assert told(",", *forged) is None


def test_the_question_is_the_one_that_is_read() -> None:
    """nginx's variables replaced, as the controller's question is recorded here."""
    for certificate in (False, True):
        asked = auth_url_path(certificate=certificate).replace("$host", HOST)
        asked = asked.replace("$http_upgrade", "websocket")
        asked = asked.replace("$ssl_client_verify,$ssl_client_escaped_cert", "NONE,")
        expected = ingress_nginx_target(
            HOST, upgrade="websocket", certificate="NONE," if certificate else None
        )
        assert asked == expected
