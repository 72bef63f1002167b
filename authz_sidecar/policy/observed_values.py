"""What a criterion looks at, for explanations: the value a request, a person or the clock holds.

Says what is there, never what it comes to: outcomes are the criterion's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.core.networks import unmapped
from authz_sidecar.core.types import Fact
from authz_sidecar.policy import times
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.policy.claims import claim_values
from authz_sidecar.policy.criteria.record import table_of
from authz_sidecar.policy.criteria.request import parameter_values
from authz_sidecar.policy.paths import decoded

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.policy.criteria import Criterion
    from authz_sidecar.policy.subject import Evidence, Subject


class Seen(NamedTuple):
    """`value` is as in JSON. `note` says why there is none, or what is particular about it."""

    value: object = None
    note: str | None = None


class Situation(NamedTuple):
    """Everything a criterion may look at."""

    request: CheckRequest
    subject: Subject | None
    now: float
    evidence: Evidence


# Of the others, absence itself says that they are not known.
_TOLD = frozenset({Fact.METHOD, Fact.PATH, Fact.QUERY, Fact.HEADERS})

Look = Callable[["Criterion", Situation], Seen]
LookAtSubject = Callable[["Criterion", "Subject"], Seen]


def seen(criterion: Criterion, at: Situation) -> Seen:
    missing = sorted(criterion.facts & _TOLD - at.request.facts)
    if missing:
        return Seen(note=f"not known: {missing[0].value}")
    return _LOOKS[criterion.name](criterion, at)


def _nothing(_criterion: Criterion, _at: Situation) -> Seen:
    return Seen()


def _of_subject(look: LookAtSubject) -> Look:
    def of_somebody(criterion: Criterion, at: Situation) -> Seen:
        if at.subject is None:
            return Seen(note="nobody is signed in")
        return look(criterion, at.subject)

    return of_somebody


def _or_note(value: object, note: str) -> Seen:
    return Seen(note=note) if value in (None, "", ()) else Seen(value)


def _user(_criterion: Criterion, subject: Subject) -> Seen:
    return _or_note(subject.user, "the session names no user")


def _email(_criterion: Criterion, subject: Subject) -> Seen:
    return _or_note(subject.email, "no e-mail address is known")


def _domain(_criterion: Criterion, subject: Subject) -> Seen:
    pieces = subject.email.split("@", 2)
    return Seen(pieces[1]) if len(pieces) > 1 else Seen(note="no e-mail address is known")


def _groups(_criterion: Criterion, subject: Subject) -> Seen:
    return Seen(note="no groups are known") if subject.groups is None else Seen([*subject.groups])


def _claim(criterion: Criterion, subject: Subject) -> Seen:
    values = claim_values(subject.claims, criterion.sub_path)
    return Seen([*values]) if values else Seen([], "there is no such claim")


def _authentication(criterion: Criterion, at: Situation) -> Seen:
    subject = at.subject
    if subject is None:
        return Seen(note="nobody is signed in")
    since = subject.authenticated_at
    found: dict[str, object] = {
        "max_age": None if since is None else f"{max(0, round(at.now - since))}s",
        "acr": subject.acr,
        "amr": [*subject.amr],
    }
    wanted = criterion.data if isinstance(criterion.data, Mapping) else {}
    return Seen({key: value for key, value in found.items() if key in wanted})


def _device(criterion: Criterion, subject: Subject) -> Seen:
    kind = criterion.device_type
    found = next((each for each in subject.devices if each.kind == kind), None)
    if found is None:
        return Seen(note=f"no device of type `{kind}`")
    return Seen(
        {"is": found.credential, "approved": found.approved},
        None if found.enrolled else "it is not enrolled",
    )


def _http_method(_criterion: Criterion, at: Situation) -> Seen:
    return Seen(at.request.method)


def _http_path(_criterion: Criterion, at: Situation) -> Seen:
    return Seen(decoded(at.request.path))


def _http_header(criterion: Criterion, at: Situation) -> Seen:
    return _one_value([*at.request.header_values(criterion.sub_path.lower())])


def _query(criterion: Criterion, at: Situation) -> Seen:
    return _one_value(parameter_values(at.request.query or "", criterion.sub_path))


def _one_value(values: list[str]) -> Seen:
    if len(values) > 1:
        return Seen([*values], "given more than once")
    return Seen(values[0]) if values else Seen(note="not given")


def _cors_preflight(_criterion: Criterion, at: Situation) -> Seen:
    asked = ("access-control-request-method", "origin")
    values = {name: [*at.request.header_values(name)] for name in asked}
    return Seen({"method": at.request.method, **values})


def _source_ip(_criterion: Criterion, at: Situation) -> Seen:
    client = at.request.client
    return Seen(note="the client address is not known") if client is None else Seen(str(client))


def _certificate(criterion: Criterion, at: Situation) -> Seen:
    certificate = at.request.certificate
    if certificate is None:
        return Seen(note="the client certificate is not known")
    if not certificate.presented:
        return Seen(note="none was presented")
    facts = None if certificate.pem is None else read_certificate(certificate.pem)
    if facts is None:
        return Seen(note="it cannot be read")
    found = {
        "fingerprint": facts.fingerprint,
        "spki_hash": facts.spki_hash,
        "san_email": [*facts.emails],
        "san_dns": [*facts.dns],
        "san_uri": [*facts.uris],
    }
    wanted = criterion.data if isinstance(criterion.data, Mapping) else {}
    return Seen({key: found[key] for key in wanted if key in found})


def _certificate_validity(_criterion: Criterion, at: Situation) -> Seen:
    certificate = at.request.certificate
    if certificate is None:
        return Seen(note="the client certificate is not known")
    return Seen({"presented": certificate.presented, "valid": certificate.valid})


def _time(criterion: Criterion, at: Situation) -> Seen:
    """As a clock shows it in the zone of the criterion."""
    zone = criterion.data.get("timezone") if isinstance(criterion.data, Mapping) else None
    place = times.zone(zone) if isinstance(zone, str) else UTC
    try:
        return Seen(datetime.fromtimestamp(at.now, place).strftime("%a %Y-%m-%d %H:%M:%S %Z"))
    except (ValueError, OverflowError, OSError):
        return Seen(note="no calendar has this time")


def _record(criterion: Criterion, at: Situation) -> Seen:
    asked = table_of(criterion)
    field = str(criterion.data["field"]) if isinstance(criterion.data, Mapping) else ""
    if asked is None or at.evidence.records is None:
        return Seen(note="no tables of records are known")
    (table, by), record = asked, None
    if by == "user":
        if at.subject is None:
            return Seen(note="nobody is signed in")
        if (users := at.evidence.records.users(table)) is None:
            return Seen(note=f"the table `{table}` is not known")
        record = None if at.subject.user is None else users.get(at.subject.user)
    else:
        if (networks := at.evidence.records.networks(table)) is None:
            return Seen(note=f"the table `{table}` is not known")
        client = at.request.client
        record = None if client is None else networks.of(unmapped(client))
    if record is None:
        return Seen(note="there is no record")
    return Seen(record[field]) if field in record else Seen(note="the record has no such field")


def _tool(_criterion: Criterion, at: Situation) -> Seen:
    call = at.evidence.call
    if call is None:
        return Seen(note="the body is not known")
    return Seen({"method": call.method, "tool": call.tool})


_LOOKS: Mapping[str, Look] = MappingProxyType(
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
