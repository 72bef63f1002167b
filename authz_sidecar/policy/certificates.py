"""Reads the fields of a client certificate that rules compare. Does not verify trust: the proxy
does."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class CertificateFields(NamedTuple):
    """The fields of a certificate that rules compare.

    - `fingerprint`: SHA-256 of the certificate in hexadecimal.
    - `spki_hash`: SHA-256 of the public key (SubjectPublicKeyInfo) in base64.
    - `emails`, `dns`, `uris`: the subject alternative names (RFC 5280 section 4.2.1.6).
    """

    fingerprint: str
    spki_hash: str
    emails: tuple[str, ...]
    dns: tuple[str, ...]
    uris: tuple[str, ...]


@lru_cache(maxsize=1024)
def read_certificate(pem: str) -> CertificateFields | None:
    """Returns the fields of a PEM certificate, or None when it cannot be parsed. Cached, because a
    client sends the same certificate with every request."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("utf-8", "replace"))
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = _alternative_names(certificate)
        return CertificateFields(
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
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    return extension.value
