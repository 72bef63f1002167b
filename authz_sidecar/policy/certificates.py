"""What rules compare of a client's certificate. Reads, never judges: trust is the proxy's verdict."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class CertificateFacts(NamedTuple):
    """`fingerprint` is SHA-256 in hexadecimal, `spki_hash` SHA-256 of the public key in base64."""

    fingerprint: str
    spki_hash: str
    emails: tuple[str, ...]
    dns: tuple[str, ...]
    uris: tuple[str, ...]


@lru_cache(maxsize=1024)
def read_certificate(pem: str) -> CertificateFacts | None:
    """None where it cannot be read. A client sends the same one with every request."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("utf-8", "replace"))
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = _alternative_names(certificate)
        return CertificateFacts(
            sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
            b64encode(sha256(key).digest()).decode("ascii"),
            tuple(names.get_values_for_type(x509.RFC822Name)),
            tuple(names.get_values_for_type(x509.DNSName)),
            tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        )
    except Exception:  # noqa: BLE001 - bytes of a stranger: whatever the parser thinks of them
        return None


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    return found.value
