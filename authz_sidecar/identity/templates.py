"""What the references of a route's header templates come to for one allowed request.

Decides values and what no header may carry of them; the grammar is `core/header_template.py`.
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
    @property
    def fingerprint(self) -> str: ...
    @property
    def dns(self) -> tuple[str, ...]: ...
    @property
    def emails(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRenderer:
    """`assertion_for` signs; `read_certificate` reads one from PEM, None where that fails."""

    assertion_for: Callable[[Session, Origin], str]
    read_certificate: Callable[[str], ClientCertificateNames | None]

    def render(
        self, templates: HeaderTemplates, request: CheckRequest, session: Session | None
    ) -> dict[str, str]:
        """Values by name in lower case; blanks around one are gone, as on every way to the app."""

        def resolve(reference: TemplateReference) -> str:
            return self._resolve(reference, request, session)

        return {name.lower(): template.render(resolve).strip() for name, template in templates}

    def _resolve(
        self, reference: TemplateReference, request: CheckRequest, session: Session | None
    ) -> str:
        """An unknown reference is empty, and so is what is not known of this request."""
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
        """Of one that the proxy vouches for: an application will take what it says as true."""
        certificate = request.certificate
        if certificate is None or not certificate.valid or certificate.pem is None:
            return None
        return self.read_certificate(certificate.pem)


def _join_list(names: tuple[str, ...]) -> str:
    """Joined by commas; a name with a comma inside would read as two and is left out."""
    return ",".join(_percent_encode(name) for name in names if "," not in name)


def _percent_encode(text: str) -> str:
    return _NOT_ALLOWED_IN_HEADER.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace")),
        text,
    )
