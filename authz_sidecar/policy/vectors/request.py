"""What the caller of a vector asks for."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote

from authz_sidecar.core.types import Address, CheckRequest, ClientCertificate, Fact, Headers
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.vectors.values import InputError, Object, object_in, strings, text_in


def request_of(given: Object) -> CheckRequest:
    http = object_in(given, "http")
    facts = {Fact.QUERY, Fact.HEADERS} if http else set()
    method, path = text_in(http, "method"), text_in(http, "path")
    if method is not None:
        facts.add(Fact.METHOD)
    if path is not None:
        facts.add(Fact.PATH)
    host = text_in(http, "host") or "vector.invalid"
    return CheckRequest(
        adapter="vector",
        method=method or "",
        origin=Origin("https", host),
        path=quote(path or "", safe="/!$&'()*+,;=:@~-._", errors="surrogatepass"),
        query=text_in(http, "query"),
        client=_address(given),
        headers=_headers(object_in(http, "headers")),
        certificate=_certificate(given),
        facts=frozenset(facts),
    )


def _address(given: Object) -> Address | None:
    text = text_in(given, "source_ip")
    try:
        return ip_address(text) if text else None
    except ValueError:
        return None


def _certificate(given: Object) -> ClientCertificate | None:
    if "client_certificate" not in given:
        return None
    certificate = object_in(given, "client_certificate")
    pem = text_in(certificate, "pem")
    if pem is None and certificate.keys() - {"presented", "valid"}:
        raise InputError("`client_certificate` has properties but no `pem`")
    return ClientCertificate(
        presented=bool(certificate.get("presented", pem is not None)),
        valid=bool(certificate.get("valid", False)),
        pem=pem,
    )


def _headers(headers: Object) -> Headers:
    lines: list[tuple[str, str]] = []
    for name, value in headers.items():
        lines.extend((name.lower(), text) for text in strings(value))
    return tuple(lines)
