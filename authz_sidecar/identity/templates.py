"""What the references of a route's header templates come to for one allowed request.

Decides values and what no header may carry of them; the grammar is `core/header_template.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.header_template import Reference
    from authz_sidecar.core.types import CheckRequest, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes.model import HeaderTemplates

_UNSENDABLE = re.compile(r"[^\x20-\x7e]+")


class CertificateFacts(Protocol):
    @property
    def fingerprint(self) -> str: ...
    @property
    def dns(self) -> tuple[str, ...]: ...
    @property
    def emails(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """`assertion` signs; `read_certificate` reads one from PEM, None where that fails."""

    assertion: Callable[[Session, Origin], str]
    read_certificate: Callable[[str], CertificateFacts | None]

    def render(
        self, templates: HeaderTemplates, request: CheckRequest, session: Session | None
    ) -> dict[str, str]:
        """Values by name in lower case; blanks around one are gone, as on every way to the app."""

        def look_up(reference: Reference) -> str:
            return self._value(reference, request, session)

        return {name.lower(): template.render(look_up).strip() for name, template in templates}

    def _value(self, reference: Reference, request: CheckRequest, session: Session | None) -> str:
        """An unknown reference is empty, and so is what is not known of this request."""
        match reference:
            case ("pomerium", "jwt"):
                return "" if session is None else self.assertion(session, request.origin)
            case ("pomerium", "request", "headers", name):
                return _sendable(request.header(name.lower()) or "")
            case ("pomerium", "client_cert_fingerprint"):
                facts = self._certificate(request)
                return "" if facts is None else facts.fingerprint
            case ("pomerium", "client_cert_san_dns"):
                facts = self._certificate(request)
                return "" if facts is None else _listed(facts.dns)
            case ("pomerium", "client_cert_san_email"):
                facts = self._certificate(request)
                return "" if facts is None else _listed(facts.emails)
            case _:
                return ""

    def _certificate(self, request: CheckRequest) -> CertificateFacts | None:
        """Of one that the proxy vouches for: an application will take what it says as true."""
        certificate = request.certificate
        if certificate is None or not certificate.valid or certificate.pem is None:
            return None
        return self.read_certificate(certificate.pem)


def _listed(names: tuple[str, ...]) -> str:
    """Joined by commas; a name with a comma inside would read as two and is left out."""
    return ",".join(_sendable(name) for name in names if "," not in name)


def _sendable(text: str) -> str:
    return _UNSENDABLE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "replace")),
        text,
    )
