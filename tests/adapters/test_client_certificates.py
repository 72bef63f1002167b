"""What each form of the header says, and what it does not."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.adapters.client_certificates import CertificateHeader, Format
from authz_sidecar.policy.certificates import read_certificate
from tests.servers.certificate import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from authz_sidecar.core.types import ClientCertificate

NAME = "x-client-cert"
FORMATS: tuple[Format, ...] = ("nginx", "pem", "traefik", "xfcc")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory: Path = tmp_path_factory.mktemp("client")
    return make_certificate(directory, ("laptop.example.com",)).chain.read_text()


def der(pem: str) -> str:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return b64encode(certificate.public_bytes(Encoding.DER)).decode()


def read(form: Format, *values: str) -> ClientCertificate | None:
    lines = tuple((NAME, value) for value in values)
    return CertificateHeader(name=NAME, format=form).read((("accept", "*/*"), *lines))


@pytest.mark.parametrize(
    ("form", "before", "after", "valid"),
    [
        pytest.param("pem", "", "", True, id="nginx, the certificate alone"),
        pytest.param("nginx", "SUCCESS ", "", True, id="nginx with its verdict"),
        pytest.param("nginx", "FAILED:certificate has expired ", "", False, id="nginx, not valid"),
        pytest.param("traefik", "", "", True, id="Traefik"),
        pytest.param("traefik", "", ",bm90IGxvb2tlZCBhdA==", True, id="Traefik with a chain"),
        pytest.param("xfcc", 'Cert="', '"', True, id="Envoy"),
        pytest.param(
            "xfcc",
            f'By=spiffe://a;Hash={"0" * 64};Cert="',
            '";Subject="CN=\\"a\\",O=b;c";URI=;DNS=a.example;DNS=b.example',
            True,
            id="Envoy with all it knows",
        ),
    ],
)
def test_a_certificate(
    form: Format,
    before: str,
    after: str,
    valid: bool,  # noqa: FBT001
    pem: str,
) -> None:
    written = der(pem) if form == "traefik" else quote(pem, safe="")
    found = read(form, f"{before}{written}{after}")
    assert found is not None
    assert (found.presented, found.valid) == (True, valid)
    assert found.pem is not None
    assert read_certificate(found.pem) == read_certificate(pem)
    assert read_certificate(found.pem) is not None


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_header_says_that_there_is_none(form: Format) -> None:
    found = read(form, " ")
    assert found is not None
    assert (found.presented, found.valid, found.pem) == (False, False, None)


def test_nginx_says_none() -> None:
    found = read("nginx", "NONE ")
    assert found is not None
    assert (found.presented, found.valid) == (False, False)


def test_envoy_may_send_a_hash_alone() -> None:
    found = read("xfcc", f"Hash={'ab' * 32}")
    assert found is not None
    assert (found.presented, found.valid, found.pem) == (True, True, None)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        pytest.param("nginx", "SUCCESS", id="verdict without a certificate"),
        pytest.param("nginx", "{pem}", id="certificate without a verdict"),
        pytest.param("nginx", "FAILED {pem}", id="verdict without its reason"),
        pytest.param("pem", "SUCCESS {pem}", id="a verdict where none is wanted"),
        pytest.param("pem", "NONE", id="a verdict alone where none is wanted"),
        pytest.param("pem", "{pem}{pem}", id="two certificates where one is wanted"),
        pytest.param("pem", "{der}", id="Traefik's form for a certificate alone"),
        pytest.param("nginx", "GRANTED {pem}", id="another verdict"),
        pytest.param("nginx", "NONE {pem}", id="none, and one"),
        pytest.param("nginx", "{pem}{pem}", id="two certificates"),
        pytest.param("nginx", "{der}", id="Traefik's form for nginx"),
        pytest.param("traefik", "{pem}", id="nginx's form for Traefik"),
        pytest.param("traefik", "a", id="not base64"),
        pytest.param("traefik", ",{der}", id="an empty place in the chain"),
        pytest.param(
            "traefik", "{{http.request.tls.client.certificate_der_base64}}", id="variable"
        ),
        pytest.param("xfcc", "{pem}", id="nginx's form for Envoy"),
        pytest.param("xfcc", 'Cert="{pem}",Cert="{pem}"', id="two hops"),
        pytest.param("xfcc", 'Cert="{pem}";Cert="{pem}"', id="said twice"),
        pytest.param("xfcc", 'Cert="{pem}', id="open quotes"),
        pytest.param("xfcc", 'Subject="CN=a"', id="a name alone"),
        pytest.param("xfcc", "Hash=ab", id="a short hash"),
    ],
)
def test_anything_else_is_unknown(form: Format, value: str, pem: str) -> None:
    assert read(form, value.format(pem=quote(pem, safe=""), der=der(pem))) is None


@pytest.mark.parametrize("form", FORMATS)
def test_exactly_one_header(form: Format) -> None:
    assert read(form) is None
    assert read(form, "", "") is None


@given(form=st.sampled_from(FORMATS), value=st.text(st.characters(max_codepoint=255)))
def test_nothing_fails(form: Format, value: str) -> None:
    read(form, value)
