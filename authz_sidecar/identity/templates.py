"""Rendering of a route's header templates for one allowed request.

Decides the value of each reference and which characters a header may carry; the grammar is
`core/header_template.py`. The references are Pomerium's (`set_request_headers`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.header_template import TemplateReference
    from authz_sidecar.core.types import CheckRequest, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes.model import HeaderTemplates

_NOT_ALLOWED_IN_HEADER = re.compile(r"[^\x20-\x7e]+")


class ClientCertificateNames(Protocol):
    """The names in a client certificate that templates can refer to."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the certificate, in hexadecimal."""
        ...

    @property
    def dns(self) -> tuple[str, ...]:
        """The DNS names of the subject alternative name (RFC 5280 section 4.2.1.6)."""
        ...

    @property
    def emails(self) -> tuple[str, ...]:
        """The e-mail addresses of the subject alternative name (RFC 5280 section 4.2.1.6)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRenderer:
    """Renders header templates.

    `assertion_for`: returns the signed assertion.
    `read_certificate`: parses a PEM certificate; None when that fails.
    """

    assertion_for: Callable[[Session, Origin], str]
    read_certificate: Callable[[str], ClientCertificateNames | None]

    def render(
        self, templates: HeaderTemplates, request: CheckRequest, session: Session | None
    ) -> dict[str, str]:
        """The rendered values by header name in lower case, without surrounding white space, which
        every proxy strips as well."""

        def resolve(reference: TemplateReference) -> str:
            return self._resolve(reference, request, session)

        return {name.lower(): template.render(resolve).strip() for name, template in templates}

    def _resolve(
        self, reference: TemplateReference, request: CheckRequest, session: Session | None
    ) -> str:
        """The value of a reference; empty for an unknown one, and for one that this request has no
        value for."""
        match reference:
            case ("pomerium", "jwt"):
                return "" if session is None else self.assertion_for(session, request.origin)
            case ("pomerium", "request", "headers", name):
                return _percent_encode(request.header(name.lower()) or "")
            case ("pomerium", "client_cert_fingerprint"):
                names = self._valid_certificate(request)
                return "" if names is None else names.fingerprint
            case ("pomerium", "client_cert_san_dns"):
                names = self._valid_certificate(request)
                return "" if names is None else _join_list(names.dns)
            case ("pomerium", "client_cert_san_email"):
                names = self._valid_certificate(request)
                return "" if names is None else _join_list(names.emails)
            case _:
                return ""

    def _valid_certificate(self, request: CheckRequest) -> ClientCertificateNames | None:
        """The names in the client certificate, only when the proxy has verified it: applications
        trust them."""
        certificate = request.certificate
        if certificate is None or not certificate.valid or certificate.pem is None:
            return None
        return self.read_certificate(certificate.pem)


def _join_list(names: tuple[str, ...]) -> str:
    """The names joined by commas; a name that contains a comma is omitted, since it would read as
    two."""
    return ",".join(_percent_encode(name) for name in names if "," not in name)


def _percent_encode(text: str) -> str:
    return _NOT_ALLOWED_IN_HEADER.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace")),
        text,
    )
