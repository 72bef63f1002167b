"""Extends a proxy's files so that it forwards the client's certificate and overwrites what a client
sends.

Requesting certificates, and the CAs that are trusted, stay with the operator: see the notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.snippets.facts import ForwardedCertificate, SnippetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.snippets.edit import TextFile

_TRAEFIK_HEADER = "X-Forwarded-Tls-Client-Cert"
_ENVOY_HEADER = "X-Forwarded-Client-Cert"


def forward_certificate(
    proxy: str, texts: list[TextFile], certificate: ForwardedCertificate
) -> tuple[list[TextFile], str]:
    """Return the files with the client's certificate forwarded, and notes for the operator. Raises
    `SnippetError` if the proxy cannot write the configured format."""
    format_, edit, note = _PROXIES[proxy]
    if certificate.format != format_:
        raise SnippetError(
            f"{proxy} cannot write `server.client_certificate.format: {certificate.format}`: say"
            f" `{format_}`"
        )
    header = {"traefik": _TRAEFIK_HEADER, "envoy": _ENVOY_HEADER}.get(proxy, certificate.header)
    if header.lower() != certificate.header.lower():
        raise SnippetError(
            f"{proxy} forwards certificates in `{header}` only: name it in"
            " `server.client_certificate.header`"
        )
    return [edit(text, certificate.header) for text in texts], note


def _nginx(text: TextFile, header: str) -> TextFile:
    match text.name:
        case "authz/question.conf":
            value = '"$ssl_client_verify $ssl_client_escaped_cert"'
            return text.insert_after_line(
                "X-Forwarded-For $remote_addr;", f"proxy_set_header {header} {value};"
            )
        case "authz/clear-client.conf" if (
            f"proxy_set_header {header} ".lower() not in text.content.lower()
        ):
            return text.insert_after_line("X-Real-IP", f'proxy_set_header {header} "";')
        case _:
            return text


def _ingress_nginx(text: TextFile, _header: str) -> TextFile:
    """Nothing to add: its `auth-url` has the certificate where the configuration says so."""
    return text


def _traefik(text: TextFile, _header: str) -> TextFile:
    if text.name != "dynamic.yml":
        return text
    return text.insert_after_line(
        "  middlewares:",
        "  # Traefik removes what a client wrote there at the door.",
        "  authz-certificate:",
        "    passTLSClientCert: {pem: true}",
    ).replace("middlewares: [authz]\n", "middlewares: [authz-certificate, authz]\n")


def _envoy(text: TextFile, _header: str) -> TextFile:
    return text.insert_after_line(
        "- { exact: x-forwarded-proto, ignore_case: true }",
        "- { exact: x-forwarded-client-cert, ignore_case: true }",
    ).insert_after_line(
        "          use_remote_address: true",
        "forward_client_cert_details: SANITIZE_SET",
        "set_current_client_cert_details: { cert: true }",
    )


def _caddy(text: TextFile, header: str) -> TextFile:
    return text.insert_after_line(
        "header_up X-Forwarded-Uri",
        f"header_up {header} {{http.request.tls.client.certificate_der_base64}}",
    ).insert_after_line("request_header -X-Rewrite-URL", f"request_header -{header}")


def _haproxy(text: TextFile, header: str) -> TextFile:
    if text.name == "authz.lua":
        return text.insert_after_line(
            'headers["x-forwarded-for"]',
            f'headers["{header.lower()}"] = {{ txn.c:base64(txn.sf:ssl_c_der()) }}',
        )
    return text.insert_after_line("del-header X-Rewrite-URL", f"http-request del-header {header}")


_PROXIES: dict[str, tuple[str, Callable[[TextFile, str], TextFile], str]] = {
    "nginx": (
        "nginx",
        _nginx,
        "client certificates: set `ssl_client_certificate`, and `ssl_verify_client optional` or `on`",
    ),
    "ingress-nginx": (
        "nginx",
        _ingress_nginx,
        (
            "client certificates: set `auth-tls-secret` and `auth-tls-verify-client` (not"
            " `optional_no_ca`, which believes any)"
        ),
    ),
    "traefik": (
        "traefik",
        _traefik,
        (
            "client certificates: set `clientAuth` in the TLS options, with `caFiles` and"
            " `VerifyClientCertIfGiven` or `RequireAndVerifyClientCert` (other types believe any)"
        ),
    ),
    "envoy": (
        "xfcc",
        _envoy,
        (
            "client certificates: set `validation_context` with `trusted_ca` in the TLS context of the"
            " listener (and no `ACCEPT_UNTRUSTED`)"
        ),
    ),
    "caddy": (
        "traefik",
        _caddy,
        (
            "client certificates: set `client_auth` in `tls`, with `trust_pool` and mode"
            " `verify_if_given` or `require_and_verify` (other modes believe any)"
        ),
    ),
    "haproxy": (
        "traefik",
        _haproxy,
        (
            "client certificates: add `ca-file` and `verify optional` or `verify required` to `bind`"
            " (and no `crt-ignore-err`)"
        ),
    ),
}
