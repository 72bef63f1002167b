"""The client's certificate, as a proxy forwards it in one header of the operator's choice.

Reads one header in one form, exactly once; anything else is unknown. Whether the certificate is to be
trusted is the proxy's word alone, and no other header is ever looked at. The header has to be one that
the proxy writes on every server: where it does not, what arrives is the client's.
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
    """`name` is in lower case."""

    name: str
    format: Format

    def read(self, headers: Headers) -> ClientCertificate | None:
        """None where it did not arrive exactly once, or not in a form that can be read."""
        values = [value for key, value in headers if key == self.name]
        if len(values) != 1:
            return None
        value = values[0].strip(" \t")
        return _READERS[self.format](value) if value else _NOT_PRESENTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificateAdapter:
    """An adapter whose proxy forwards certificates too."""

    adapter: Adapter
    header: CertificateHeader

    @property
    def name(self) -> str:
        return self.adapter.name

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        return self.adapter.attributes | {RequestAttribute.CERTIFICATE}

    def parse(self, raw: SubRequest) -> CheckRequest:
        request = self.adapter.parse(raw)
        return replace(
            request,
            headers=tuple(line for line in request.headers if line[0] != self.header.name),
            certificate=self.header.read(raw.headers),
            attributes=self.attributes,
        )

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        return self.adapter.render(response, request)


_NOT_PRESENTED = ClientCertificate(presented=False, valid=False)


def from_nginx(*, verify: str, escaped: str) -> ClientCertificate | None:
    """What `$ssl_client_verify` and `$ssl_client_escaped_cert` say together; None where they do not fit.

    https://nginx.org/en/docs/http/ngx_http_ssl_module.html#var_ssl_client_verify: `SUCCESS`,
    `FAILED:reason` or `NONE`.
    """
    if verify == "NONE":
        return None if escaped else _NOT_PRESENTED
    if verify != "SUCCESS" and not verify.startswith("FAILED:"):
        return None
    return _from_pem(_PEM.fullmatch(unquote(escaped)), valid=verify == "SUCCESS")


def _nginx(value: str) -> ClientCertificate | None:
    """`$ssl_client_verify`, a blank, and `$ssl_client_escaped_cert`: never without the verdict."""
    if value == "NONE":
        return _NOT_PRESENTED
    verify, _, escaped = value.rpartition(" ")
    return from_nginx(verify=verify, escaped=escaped)


def _pem(value: str) -> ClientCertificate | None:
    """`$ssl_client_escaped_cert` alone: that it is valid, the proxy's settings have to see to."""
    return _from_pem(_PEM.fullmatch(unquote(value)), valid=True)


def _traefik(value: str) -> ClientCertificate | None:
    """The chain in base64 without line breaks, the client's own certificate first.

    https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/passtlsclientcert/
    """
    return _from_base64(value.partition(",")[0], valid=True)


def _xfcc(value: str) -> ClientCertificate | None:
    """One element: what a proxy before ours has added is not ours to believe.

    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
    """
    pairs: dict[str, str] = {}
    at = 0
    while True:
        found = _XFCC_PAIR.match(value, at)
        if found is None:
            return None
        key = found["key"].lower()
        quoted = found["quoted"]
        text = found["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        # A client may have several names; what it is asked for is said once.
        if key in ("cert", "hash") and key in pairs:
            return None
        pairs[key] = text
        at = found.end()
        if at == len(value):
            break
        if value[at] != ";":
            return None
        at += 1
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
