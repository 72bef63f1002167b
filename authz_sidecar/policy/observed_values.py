"""The values that criteria compare, for explanations: taken from the request, the user or the
clock.

Returns values and never outcomes: those are the criterion's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.core.networks import unmap_ipv4
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.policy import times
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.policy.claims import values_at
from authz_sidecar.policy.criteria.record import table_of
from authz_sidecar.policy.criteria.request import parameter_values
from authz_sidecar.policy.paths import decode_path

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.policy.criteria import Criterion
    from authz_sidecar.policy.subject import Context, Subject


class ObservedValue(NamedTuple):
    """A value as in JSON. `note` says why there is none, or what is particular about it."""

    value: object = None
    note: str | None = None


class EvaluationContext(NamedTuple):
    """Everything that a criterion may look at."""

    request: CheckRequest
    subject: Subject | None
    now: float
    context: Context


# Any other attribute is known to be missing by its own absence.
_REPORTED = frozenset(
    {
        RequestAttribute.METHOD,
        RequestAttribute.PATH,
        RequestAttribute.QUERY,
        RequestAttribute.HEADERS,
    }
)

ReadAttribute = Callable[["Criterion", EvaluationContext], ObservedValue]
ReadSubject = Callable[["Criterion", "Subject"], ObservedValue]


def observe(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    """Returns the value that the criterion compares in this evaluation."""
    missing = sorted(criterion.attributes & _REPORTED - evaluation.request.attributes)
    if missing:
        return ObservedValue(note=f"not known: {missing[0].value}")
    return _READERS[criterion.name](criterion, evaluation)


def _nothing(_criterion: Criterion, _evaluation: EvaluationContext) -> ObservedValue:
    return ObservedValue()


def _of_subject(read: ReadSubject) -> ReadAttribute:
    def of_subject(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
        if evaluation.subject is None:
            return ObservedValue(note="no user is signed in")
        return read(criterion, evaluation.subject)

    return of_subject


def _or_note(value: object, note: str) -> ObservedValue:
    return ObservedValue(note=note) if value in (None, "", ()) else ObservedValue(value)


def _user(_criterion: Criterion, subject: Subject) -> ObservedValue:
    return _or_note(subject.user, "the session names no user")


def _email(_criterion: Criterion, subject: Subject) -> ObservedValue:
    return _or_note(subject.email, "no e-mail address is known")


def _domain(_criterion: Criterion, subject: Subject) -> ObservedValue:
    pieces = subject.email.split("@", 2)
    return (
        ObservedValue(pieces[1])
        if len(pieces) > 1
        else ObservedValue(note="no e-mail address is known")
    )


def _groups(_criterion: Criterion, subject: Subject) -> ObservedValue:
    return (
        ObservedValue(note="no groups are known")
        if subject.groups is None
        else ObservedValue([*subject.groups])
    )


def _claim(criterion: Criterion, subject: Subject) -> ObservedValue:
    values = values_at(subject.claims, criterion.sub_path)
    return ObservedValue([*values]) if values else ObservedValue([], "there is no such claim")


def _authentication(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    subject = evaluation.subject
    if subject is None:
        return ObservedValue(note="no user is signed in")
    authenticated_at = subject.authenticated_at
    values: dict[str, object] = {
        "max_age": None
        if authenticated_at is None
        else f"{max(0, round(evaluation.now - authenticated_at))}s",
        "acr": subject.acr,
        "amr": [*subject.amr],
    }
    conditions = criterion.data if isinstance(criterion.data, Mapping) else {}
    return ObservedValue({key: value for key, value in values.items() if key in conditions})


def _device(criterion: Criterion, subject: Subject) -> ObservedValue:
    kind = criterion.device_type
    device = next((candidate for candidate in subject.devices if candidate.kind == kind), None)
    if device is None:
        return ObservedValue(note=f"no device of type `{kind}`")
    return ObservedValue(
        {"is": device.credential, "approved": device.approved},
        None if device.enrolled else "it is not enrolled",
    )


def _http_method(_criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    return ObservedValue(evaluation.request.method)


def _http_path(_criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    return ObservedValue(decode_path(evaluation.request.path))


def _http_header(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    return _one_value([*evaluation.request.header_values(criterion.sub_path.lower())])


def _query(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    return _one_value(parameter_values(evaluation.request.query or "", criterion.sub_path))


def _one_value(values: list[str]) -> ObservedValue:
    if len(values) > 1:
        return ObservedValue([*values], "given more than once")
    return ObservedValue(values[0]) if values else ObservedValue(note="not given")


def _cors_preflight(_criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    names = ("access-control-request-method", "origin")
    values = {name: [*evaluation.request.header_values(name)] for name in names}
    return ObservedValue({"method": evaluation.request.method, **values})


def _source_ip(_criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    client = evaluation.request.client
    return (
        ObservedValue(note="the client address is not known")
        if client is None
        else ObservedValue(str(client))
    )


def _certificate(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    certificate = evaluation.request.certificate
    if certificate is None:
        return ObservedValue(note="the client certificate is not known")
    if not certificate.presented:
        return ObservedValue(note="none was presented")
    fields = None if certificate.pem is None else read_certificate(certificate.pem)
    if fields is None:
        return ObservedValue(note="it cannot be read")
    values = {
        "fingerprint": fields.fingerprint,
        "spki_hash": fields.spki_hash,
        "san_email": [*fields.emails],
        "san_dns": [*fields.dns],
        "san_uri": [*fields.uris],
    }
    conditions = criterion.data if isinstance(criterion.data, Mapping) else {}
    return ObservedValue({key: values[key] for key in conditions if key in values})


def _certificate_validity(_criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    certificate = evaluation.request.certificate
    if certificate is None:
        return ObservedValue(note="the client certificate is not known")
    return ObservedValue({"presented": certificate.presented, "valid": certificate.valid})


def _time(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    """The time as a clock shows it in the time zone of the criterion."""
    zone_name = criterion.data.get("timezone") if isinstance(criterion.data, Mapping) else None
    zone = times.parse_zone(zone_name) if isinstance(zone_name, str) else UTC
    try:
        return ObservedValue(
            datetime.fromtimestamp(evaluation.now, zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")
        )
    except (ValueError, OverflowError, OSError):
        return ObservedValue(note="the time is outside the calendar")


def _record(criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    lookup = table_of(criterion)
    field = str(criterion.data["field"]) if isinstance(criterion.data, Mapping) else ""
    if lookup is None or evaluation.context.records is None:
        return ObservedValue(note="no tables of records are known")
    (table, by), record = lookup, None
    if by == "user":
        if evaluation.subject is None:
            return ObservedValue(note="no user is signed in")
        if (users := evaluation.context.records.users(table)) is None:
            return ObservedValue(note=f"the table `{table}` is not known")
        record = None if evaluation.subject.user is None else users.get(evaluation.subject.user)
    else:
        if (networks := evaluation.context.records.networks(table)) is None:
            return ObservedValue(note=f"the table `{table}` is not known")
        client = evaluation.request.client
        record = None if client is None else networks.find(unmap_ipv4(client))
    if record is None:
        return ObservedValue(note="there is no record")
    return (
        ObservedValue(record[field])
        if field in record
        else ObservedValue(note="the record has no such field")
    )


def _tool(_criterion: Criterion, evaluation: EvaluationContext) -> ObservedValue:
    call = evaluation.context.call
    if call is None:
        return ObservedValue(note="the body is not known")
    return ObservedValue({"method": call.method, "tool": call.tool})


_READERS: Mapping[str, ReadAttribute] = MappingProxyType(
    {
        "accept": _nothing,
        "authenticated_user": _of_subject(_user),
        "authentication": _authentication,
        "claim": _of_subject(_claim),
        "client_certificate": _certificate,
        "cors_preflight": _cors_preflight,
        "date": _time,
        "day_of_week": _time,
        "device": _of_subject(_device),
        "domain": _of_subject(_domain),
        "email": _of_subject(_email),
        "groups": _of_subject(_groups),
        "http_header": _http_header,
        "http_method": _http_method,
        "http_path": _http_path,
        "invalid_client_certificate": _certificate_validity,
        "mcp_tool": _tool,
        "query": _query,
        "record": _record,
        "reject": _nothing,
        "source_ip": _source_ip,
        "time_of_day": _time,
        "user": _of_subject(_user),
    }
)
