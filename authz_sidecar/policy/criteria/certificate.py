"""`client_certificate` and `invalid_client_certificate`: what the proxy reports of the certificate.

The first compares fields and never judges trust; the second is about trust alone.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping

from authz_sidecar.core.suggest import unknown_name_message as unknown_name
from authz_sidecar.core.types import CheckRequest, RequestAttribute
from authz_sidecar.policy.certificates import CertificateFields, read_certificate
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.matchers import operators_of
from authz_sidecar.policy.reasons import outcome_of_failure, outcome_of_success

_ATTRIBUTES = frozenset({RequestAttribute.CERTIFICATE})
_PLAIN_HEX = re.compile(r"[0-9a-f]{64}")
_COLON_HEX = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){31}")
_SHA256_BYTES = 32

CertificateTest = Callable[[CertificateFields], bool]


def client_certificate(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `client_certificate`; None after reporting problems."""
    if not isinstance(data, Mapping):
        compile_context.problem(
            f"takes an object with {', '.join(f'`{key}`' for key in _CONDITIONS)}"
        )
        return None
    conditions = tuple(
        condition
        for key, value in data.items()
        if (condition := _condition(str(key), value, compile_context)) is not None
    )
    if len(conditions) < len(data):
        return None
    passing, failing = (
        outcome_of_success("client-certificate-ok"),
        outcome_of_failure("client-certificate-unauthorized"),
    )
    unknown = compile_context.when_unknown(code="client-certificate-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _context: object) -> int:
        certificate = request.certificate
        if certificate is None:
            return unknown
        if not certificate.presented:
            return failing
        fields = None if certificate.pem is None else read_certificate(certificate.pem)
        if fields is None:
            return unknown
        for condition in conditions:
            if not condition(fields):
                return failing
        return passing

    return compile_context.criterion(test, Dependency.REQUEST, attributes=_ATTRIBUTES)


def invalid_client_certificate(_data: object, compile_context: CompileContext) -> Criterion:
    """Compiles `invalid_client_certificate`, which holds for a missing or an invalid certificate."""
    valid = outcome_of_failure("valid-client-certificate")
    missing = outcome_of_success("client-certificate-required")
    invalid = outcome_of_success("invalid-client-certificate")
    # In Pomerium, without a configured authority, every certificate and none at all are valid.
    unknown = compile_context.when_unknown(code="client-certificate-unknown", failing=valid)

    def test(request: CheckRequest, _subject: object, _now: float, _context: object) -> int:
        certificate = request.certificate
        if certificate is None:
            return unknown
        if certificate.valid:
            return valid
        return invalid if certificate.presented else missing

    return compile_context.criterion(test, Dependency.REQUEST, attributes=_ATTRIBUTES)


def _condition(key: str, value: object, compile_context: CompileContext) -> CertificateTest | None:
    build = _CONDITIONS.get(key)
    if build is None:
        compile_context.problem(unknown_name("certificate condition", key, _CONDITIONS), key)
        return None
    return build(value, compile_context.scoped(key))


def _fingerprint(value: object, compile_context: CompileContext) -> CertificateTest | None:
    """SHA-256 of the whole certificate."""
    allowed = _normalized_values(value, compile_context, _normal_fingerprint)
    return None if allowed is None else lambda fields: fields.fingerprint in allowed


def _spki_hash(value: object, compile_context: CompileContext) -> CertificateTest | None:
    allowed = _normalized_values(value, compile_context, _normal_spki_hash)
    return None if allowed is None else lambda fields: fields.spki_hash in allowed


def _normalized_values(
    value: object, compile_context: CompileContext, normalize: Callable[[str], str]
) -> frozenset[str] | None:
    before = len(compile_context.problems)
    values = set()
    for text in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(text, str):
            compile_context.problem("takes a string or an array of strings")
            continue
        try:
            values.add(normalize(text))
        except ValueError as error:
            compile_context.problem(str(error))
    return frozenset(values) if len(compile_context.problems) == before else None


def _normal_fingerprint(text: str) -> str:
    if _PLAIN_HEX.fullmatch(text):
        return text
    if _COLON_HEX.fullmatch(text):
        return text.replace(":", "").lower()
    raise ValueError(
        f"unsupported fingerprint `{text[:100]}`: SHA-256 as 64 lower-case hexadecimal digits,"
        " or as 32 upper-case pairs joined by colons"
    )


def _normal_spki_hash(text: str) -> str:
    try:
        if len(b64decode(text, validate=True)) == _SHA256_BYTES:
            return text
    except ValueError:
        pass
    raise ValueError(f"`{text[:100]}` is not a SHA-256 hash in base64")


def _san(names: Callable[[CertificateFields], tuple[str, ...]]) -> Condition:
    """Existential for each operator: different names may satisfy different operators."""

    def condition(value: object, compile_context: CompileContext) -> CertificateTest | None:
        operators = operators_of(value, compile_context)
        if operators is None:
            return None
        return lambda fields: all(any(map(holds_for, names(fields))) for holds_for in operators)

    return condition


Condition = Callable[[object, CompileContext], CertificateTest | None]

_CONDITIONS: dict[str, Condition] = {
    "fingerprint": _fingerprint,
    "san_dns": _san(lambda fields: fields.dns),
    "san_email": _san(lambda fields: fields.emails),
    "san_uri": _san(lambda fields: fields.uris),
    "spki_hash": _spki_hash,
}
