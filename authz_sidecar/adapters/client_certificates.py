"""The client certificate, as a proxy forwards it in one header that the operator names.

Reads one header in one format, exactly once; anything else leaves the certificate unknown. The
proxy alone decides whether the certificate is trusted. The proxy has to write the header on every
server: where it does not, the header is the client's own.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from authz_sidecar.core.types import CheckRequest, ClientCertificate, RequestAttribute

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.adapters.base import Adapter, AuthzResponse, HttpResponse, SubRequest
    from authz_sidecar.core.types import Headers

Format = Literal["nginx", "pem", "traefik", "xfcc"]

_PEM = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----\s*"
)
_XFCC_PAIR = re.compile(r'(?P<key>[A-Za-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",;]*))')
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHeader:
    """The header with the certificate. `name` is in lower case."""

    name: str
    format: Format

    def read(self, headers: Headers) -> ClientCertificate | None:
        """Return the certificate; None when the header is missing, repeated or malformed."""
        values = [value for key, value in headers if key == self.name]
        if len(values) != 1:
            return None
        value = values[0].strip(" \t")
        return _READERS[self.format](value) if value else _NOT_PRESENTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificateAdapter:
    """An adapter that also reads the client certificate from `header`."""

    adapter: Adapter
    header: CertificateHeader

    @property
    def name(self) -> str:
        """The name of the wrapped adapter."""
        return self.adapter.name

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The attributes of the wrapped adapter, and the certificate."""
        return self.adapter.attributes | {RequestAttribute.CERTIFICATE}

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse as the wrapped adapter does, and add the certificate. Raises `BadProxyRequest`."""
        request = self.adapter.parse(raw)
        return replace(
            request,
            headers=tuple(line for line in request.headers if line[0] != self.header.name),
            certificate=self.header.read(raw.headers),
            attributes=self.attributes,
        )

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        """Return the response of the wrapped adapter."""
        return self.adapter.render(response, request)


_NOT_PRESENTED = ClientCertificate(presented=False, valid=False)


def from_nginx(*, verify: str, escaped: str) -> ClientCertificate | None:
    """Return the certificate from `$ssl_client_verify` and `$ssl_client_escaped_cert`; None when
    they contradict each other.

    https://nginx.org/en/docs/http/ngx_http_ssl_module.html#var_ssl_client_verify: `SUCCESS`,
    `FAILED:reason` or `NONE`.
    """
    if verify == "NONE":
        return None if escaped else _NOT_PRESENTED
    if verify != "SUCCESS" and not verify.startswith("FAILED:"):
        return None
    return _from_pem(_PEM.fullmatch(unquote(escaped)), valid=verify == "SUCCESS")


def _nginx(value: str) -> ClientCertificate | None:
    """Parse `$ssl_client_verify`, a space and `$ssl_client_escaped_cert`: never without the
    verdict."""
    if value == "NONE":
        return _NOT_PRESENTED
    verify, _, escaped = value.rpartition(" ")
    return from_nginx(verify=verify, escaped=escaped)


def _pem(value: str) -> ClientCertificate | None:
    """Parse `$ssl_client_escaped_cert` alone: the proxy's settings have to ensure that it is valid."""
    return _from_pem(_PEM.fullmatch(unquote(value)), valid=True)


def _traefik(value: str) -> ClientCertificate | None:
    """Parse the chain in base64 without line breaks, the client's own certificate first.

    https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/passtlsclientcert/
    """
    return _from_base64(value.partition(",")[0], valid=True)


def _xfcc(value: str) -> ClientCertificate | None:
    """Parse a header of one element: an element that an earlier proxy added is not trusted.

    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
    """
    pairs: dict[str, str] = {}
    position = 0
    while True:
        match = _XFCC_PAIR.match(value, position)
        if match is None:
            return None
        key = match["key"].lower()
        quoted = match["quoted"]
        text = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        # Names may repeat, `Cert` and `Hash` must not.
        if key in ("cert", "hash") and key in pairs:
            return None
        pairs[key] = text
        position = match.end()
        if position == len(value):
            break
        if value[position] != ";":
            return None
        position += 1
    if "cert" in pairs:
        return _from_pem(_PEM.fullmatch(unquote(pairs["cert"])), valid=True)
    if _SHA256.fullmatch(pairs.get("hash", "")):
        return ClientCertificate(presented=True, valid=True)
    return None


def _from_pem(pem: re.Match[str] | None, *, valid: bool) -> ClientCertificate | None:
    return None if pem is None else _from_base64("".join(pem[1].split()), valid=valid)


def _from_base64(base64: str, *, valid: bool) -> ClientCertificate | None:
    try:
        if not b64decode(base64, validate=True):
            return None
    except ValueError:
        return None
    lines = "\n".join(wrap(base64, 64))
    pem = f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
    return ClientCertificate(presented=True, valid=valid, pem=pem)


_READERS: dict[Format, Callable[[str], ClientCertificate | None]] = {
    "nginx": _nginx,
    "pem": _pem,
    "traefik": _traefik,
    "xfcc": _xfcc,
}
