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
    evidence: Context


# Of the others, absence itself says that they are not known.
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


def observe(criterion: Criterion, context: EvaluationContext) -> ObservedValue:
    """Returns the value that the criterion compares in this context."""
    missing = sorted(criterion.attributes & _REPORTED - context.request.attributes)
    if missing:
        return ObservedValue(note=f"not known: {missing[0].value}")
    return _READERS[criterion.name](criterion, context)


def _nothing(_criterion: Criterion, _at: EvaluationContext) -> ObservedValue:
    return ObservedValue()


def _of_subject(read: ReadSubject) -> ReadAttribute:
    def of_subject(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
        if at.subject is None:
            return ObservedValue(note="no user is signed in")
        return read(criterion, at.subject)

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


def _authentication(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    subject = at.subject
    if subject is None:
        return ObservedValue(note="no user is signed in")
    authenticated_at = subject.authenticated_at
    values: dict[str, object] = {
        "max_age": None
        if authenticated_at is None
        else f"{max(0, round(at.now - authenticated_at))}s",
        "acr": subject.acr,
        "amr": [*subject.amr],
    }
    conditions = criterion.data if isinstance(criterion.data, Mapping) else {}
    return ObservedValue({key: value for key, value in values.items() if key in conditions})


def _device(criterion: Criterion, subject: Subject) -> ObservedValue:
    kind = criterion.device_type
    device = next((each for each in subject.devices if each.kind == kind), None)
    if device is None:
        return ObservedValue(note=f"no device of type `{kind}`")
    return ObservedValue(
        {"is": device.credential, "approved": device.approved},
        None if device.enrolled else "it is not enrolled",
    )


def _http_method(_criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    return ObservedValue(at.request.method)


def _http_path(_criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    return ObservedValue(decode_path(at.request.path))


def _http_header(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    return _one_value([*at.request.header_values(criterion.sub_path.lower())])


def _query(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    return _one_value(parameter_values(at.request.query or "", criterion.sub_path))


def _one_value(values: list[str]) -> ObservedValue:
    if len(values) > 1:
        return ObservedValue([*values], "given more than once")
    return ObservedValue(values[0]) if values else ObservedValue(note="not given")


def _cors_preflight(_criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    names = ("access-control-request-method", "origin")
    values = {name: [*at.request.header_values(name)] for name in names}
    return ObservedValue({"method": at.request.method, **values})


def _source_ip(_criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    client = at.request.client
    return (
        ObservedValue(note="the client address is not known")
        if client is None
        else ObservedValue(str(client))
    )


def _certificate(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    certificate = at.request.certificate
    if certificate is None:
        return ObservedValue(note="the client certificate is not known")
    if not certificate.presented:
        return ObservedValue(note="none was presented")
    facts = None if certificate.pem is None else read_certificate(certificate.pem)
    if facts is None:
        return ObservedValue(note="it cannot be read")
    values = {
        "fingerprint": facts.fingerprint,
        "spki_hash": facts.spki_hash,
        "san_email": [*facts.emails],
        "san_dns": [*facts.dns],
        "san_uri": [*facts.uris],
    }
    conditions = criterion.data if isinstance(criterion.data, Mapping) else {}
    return ObservedValue({key: values[key] for key in conditions if key in values})


def _certificate_validity(_criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    certificate = at.request.certificate
    if certificate is None:
        return ObservedValue(note="the client certificate is not known")
    return ObservedValue({"presented": certificate.presented, "valid": certificate.valid})


def _time(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    """The time as a clock shows it in the time zone of the criterion."""
    zone_name = criterion.data.get("timezone") if isinstance(criterion.data, Mapping) else None
    zone = times.parse_zone(zone_name) if isinstance(zone_name, str) else UTC
    try:
        return ObservedValue(
            datetime.fromtimestamp(at.now, zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")
        )
    except (ValueError, OverflowError, OSError):
        return ObservedValue(note="the time is outside the calendar")


def _record(criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    lookup = table_of(criterion)
    field = str(criterion.data["field"]) if isinstance(criterion.data, Mapping) else ""
    if lookup is None or at.evidence.records is None:
        return ObservedValue(note="no tables of records are known")
    (table, by), record = lookup, None
    if by == "user":
        if at.subject is None:
            return ObservedValue(note="no user is signed in")
        if (users := at.evidence.records.users(table)) is None:
            return ObservedValue(note=f"the table `{table}` is not known")
        record = None if at.subject.user is None else users.get(at.subject.user)
    else:
        if (networks := at.evidence.records.networks(table)) is None:
            return ObservedValue(note=f"the table `{table}` is not known")
        client = at.request.client
        record = None if client is None else networks.find(unmap_ipv4(client))
    if record is None:
        return ObservedValue(note="there is no record")
    return (
        ObservedValue(record[field])
        if field in record
        else ObservedValue(note="the record has no such field")
    )


def _tool(_criterion: Criterion, at: EvaluationContext) -> ObservedValue:
    call = at.evidence.call
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
