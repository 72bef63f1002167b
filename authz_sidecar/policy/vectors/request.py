"""The request of a vector."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote

from authz_sidecar.core.types import (
    Address,
    CheckRequest,
    ClientCertificate,
    Headers,
    RequestAttribute,
)
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.vectors.values import (
    InputError,
    Object,
    optional_object,
    optional_text,
    string_list,
)


def build_vector_request(given: Object) -> CheckRequest:
    """Returns the request of a vector. Raises `InputError`."""
    http = optional_object(given, "http")
    attributes = {RequestAttribute.QUERY, RequestAttribute.HEADERS} if http else set()
    method, path = optional_text(http, "method"), optional_text(http, "path")
    if method is not None:
        attributes.add(RequestAttribute.METHOD)
    if path is not None:
        attributes.add(RequestAttribute.PATH)
    host = optional_text(http, "host") or "vector.invalid"
    return CheckRequest(
        adapter="vector",
        method=method or "",
        origin=Origin("https", host),
        path=quote(path or "", safe="/!$&'()*+,;=:@~-._", errors="surrogatepass"),
        query=optional_text(http, "query"),
        client=_address(given),
        headers=_headers(optional_object(http, "headers")),
        certificate=_certificate(given),
        attributes=frozenset(attributes),
    )


def _address(given: Object) -> Address | None:
    text = optional_text(given, "source_ip")
    try:
        return ip_address(text) if text else None
    except ValueError:
        return None


def _certificate(given: Object) -> ClientCertificate | None:
    if "client_certificate" not in given:
        return None
    certificate = optional_object(given, "client_certificate")
    pem = optional_text(certificate, "pem")
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
        lines.extend((name.lower(), text) for text in string_list(value))
    return tuple(lines)
