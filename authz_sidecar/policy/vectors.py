"""Test vectors: the world as Pomerium's records describe it, read into what a policy looks at.

Strict: an input that is not understood is an error, never ignored. An absent one has upstream's
meaning: the record does not exist, the attribute does not match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from authz_sidecar.core.types import Address, CheckRequest, ClientCertificate, Fact, Headers
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.compile import ALL_FACTS, Purpose, build
from authz_sidecar.policy.decide import Evaluation, evaluate
from authz_sidecar.policy.document import parse
from authz_sidecar.policy.model import Policy, policy_of
from authz_sidecar.policy.reasons import ABOUT_DEVICE
from authz_sidecar.policy.subject import Device, Evidence, Subject, ToolCall
from authz_sidecar.policy.verdict import Outcome, outcome

if TYPE_CHECKING:
    from authz_sidecar.core.positions import Positions
    from authz_sidecar.errors import Problem

Object = Mapping[str, object]

_KEYS = {
    "": (
        "client_certificate",
        "devices",
        "directory_user",
        "groups",
        "http",
        "mcp",
        "now",
        "other_sessions",
        "other_users",
        "presented_session_id",
        "service_account",
        "session",
        "source_ip",
        "user",
    ),
    "client_certificate": (
        "fingerprint",
        "pem",
        "presented",
        "san_dns",
        "san_email",
        "san_uri",
        "spki_hash",
        "valid",
    ),
    "devices": ("credentials", "enrollments"),
    "directory_user": ("email", "group_ids", "id"),
    "http": ("headers", "host", "method", "path", "query"),
    "mcp": ("method", "tool"),
    "service_account": ("expires_at", "id", "user_id"),
    "session": (
        "claims",
        "device_credentials",
        "expires_at",
        "id",
        "impersonate_session_id",
        "user_id",
    ),
    "user": ("claims", "email", "id"),
}


class InputError(ValueError):
    """The input of a vector cannot be interpreted."""


class RefusedPolicy(Exception):
    """A policy that does not load; `stage` is `parse` or `compile`."""

    def __init__(self, stage: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.stage = stage
        self.problems = tuple(problems)


class Case(NamedTuple):
    request: CheckRequest
    subject: Subject | None
    evidence: Evidence
    now: float


@dataclass(frozen=True, slots=True)
class Result:
    evaluation: Evaluation
    outcome: Outcome
    device_type: str | None


def load_policy(document: object, *, where: Positions) -> Policy:
    """Raises `RefusedPolicy`."""
    problems: list[Problem] = []
    written = parse(document, where=where, at=(), problems=problems)
    if problems:
        raise RefusedPolicy("parse", sorted(problems))
    operators = build(
        written, where=where, facts=ALL_FACTS, purpose=Purpose.EVALUATE, problems=problems
    )
    if problems:
        raise RefusedPolicy("compile", sorted(problems))
    return policy_of(operators)


def run(policy: Policy, case: Case) -> Result:
    evaluation = evaluate(policy, case.request, case.subject, now=case.now, evidence=case.evidence)
    allow, deny = evaluation
    about_device = bool((allow | deny) & ABOUT_DEVICE)
    types = (criterion.device_type for criterion in policy.criteria if criterion.device_type)
    return Result(evaluation, outcome(allow, deny), next(types, None) if about_device else None)


def read_case(given: Object, *, clock: float) -> Case:
    """`clock` is the time where the input names none. Raises `InputError`."""
    _known(given, "")
    now = _instant(given["now"]) if "now" in given else clock
    subject = _Records(given, now).subject()
    call = None
    if "mcp" in given:
        mcp = _object(given, "mcp")
        call = ToolCall(_text(mcp, "method"), _text(mcp, "tool"))
    return Case(_request(given), subject, Evidence(call=call), now)


class _Records:
    """Who the caller is: a service account, else the session or whom it impersonates."""

    def __init__(self, given: Object, now: float) -> None:
        self._given = given
        self._now = now
        self._sessions = self._by_id("session", "other_sessions")
        self._users = self._by_id("user", "other_users")

    def subject(self) -> Subject | None:
        account = _object(self._given, "service_account")
        presented = _text(self._given, "presented_session_id") or next(
            (
                found
                for name in ("service_account", "session")
                if (found := _text(_object(self._given, name), "id"))
            ),
            None,
        )
        if account and account.get("id") == presented and self._alive(account):
            return self._subject(account)
        session = self._session(presented)
        if session is None:
            return None
        impersonated = _text(session, "impersonate_session_id")
        if impersonated:
            session = self._session(impersonated)
        return None if session is None else self._subject(session)

    def _by_id(self, one: str, others: str) -> dict[str | None, Object]:
        records = [_object(self._given, one)] if one in self._given else []
        for other in _array(self._given, others):
            if not isinstance(other, Mapping):
                raise InputError(f"`{others}` takes objects")
            _known(other, one)
            records.append(other)
        return {_text(record, "id"): record for record in records}

    def _session(self, name: str | None) -> Object | None:
        session = self._sessions.get(name) if name else None
        return session if session is not None and self._alive(session) else None

    def _alive(self, record: Object) -> bool:
        return "expires_at" not in record or _instant(record["expires_at"]) > self._now

    def _subject(self, session: Object) -> Subject:
        user_id = _text(session, "user_id")
        user = self._users.get(user_id, {}) if user_id else {}
        directory = _object(self._given, "directory_user")
        in_directory = bool(user_id) and directory.get("id") == user_id
        email = (in_directory and _text(directory, "email")) or _text(user, "email") or ""
        groups = directory.get("group_ids") or () if in_directory else self._given.get("groups")
        return Subject(
            user_id,
            email,
            None if groups is None else tuple(_strings(groups)),
            {**_object(session, "claims"), **_object(user, "claims")},
            devices=tuple(self._devices(session)),
        )

    def _devices(self, session: Object) -> list[Device]:
        records = _object(self._given, "devices")
        credentials = {each["id"]: each for each in _objects(records, "credentials")}
        enrollments = {each["id"]: each for each in _objects(records, "enrollments")}
        found = []
        for each in _objects(session, "device_credentials"):
            credential = credentials.get(each["id"])
            enrollment = credential and enrollments.get(credential.get("enrollment_id"))
            approved = bool(enrollment and enrollment.get("approved_by"))
            found.append(
                Device(str(each.get("type_id")), str(each["id"]), enrollment is not None, approved)
            )
        return found


def _request(given: Object) -> CheckRequest:
    http = _object(given, "http")
    facts = {Fact.QUERY, Fact.HEADERS} if http else set()
    method, path = _text(http, "method"), _text(http, "path")
    if method is not None:
        facts.add(Fact.METHOD)
    if path is not None:
        facts.add(Fact.PATH)
    host = _text(http, "host") or "vector.invalid"
    return CheckRequest(
        adapter="vector",
        method=method or "",
        origin=Origin("https", host),
        path=quote(path or "", safe="/!$&'()*+,;=:@~-._", errors="surrogatepass"),
        query=_text(http, "query"),
        client=_address(given),
        headers=_headers(_object(http, "headers")),
        certificate=_certificate(given),
        facts=frozenset(facts),
    )


def _address(given: Object) -> Address | None:
    text = _text(given, "source_ip")
    try:
        return ip_address(text) if text else None
    except ValueError:
        return None


def _certificate(given: Object) -> ClientCertificate | None:
    if "client_certificate" not in given:
        return None
    certificate = _object(given, "client_certificate")
    pem = _text(certificate, "pem")
    if pem is None and certificate.keys() - {"presented", "valid"}:
        raise InputError("`client_certificate` has properties but no `pem`")
    return ClientCertificate(
        presented=bool(certificate.get("presented", pem is not None)),
        valid=bool(certificate.get("valid", False)),
        pem=pem,
    )


def _headers(headers: Object) -> Headers:
    lines: list[tuple[str, str]] = []
    for name, value in headers.items():
        lines.extend((name.lower(), text) for text in _strings(value))
    return tuple(lines)


def _known(record: Object, kind: str) -> None:
    if strange := sorted(record.keys() - _KEYS[kind]):
        raise InputError(f"unknown input `{strange[0]}`{f' in `{kind}`' if kind else ''}")


def _object(record: Object, key: str) -> Object:
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"`{key}` takes an object")
    if key in _KEYS:
        _known(value, key)
    return value


def _array(record: Object, key: str) -> Sequence[object]:
    value = record.get(key, ())
    if not isinstance(value, list | tuple):
        raise InputError(f"`{key}` takes an array")
    return value


def _objects(record: Object, key: str) -> list[Object]:
    found = []
    for value in _array(record, key):
        if not isinstance(value, Mapping) or not isinstance(value.get("id"), str):
            raise InputError(f"`{key}` takes objects with an `id`")
        found.append(value)
    return found


def _text(record: Object, key: str) -> str | None:
    value = record.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"`{key}` takes a string")


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(each, str) for each in values):
        return [str(each) for each in values]
    raise InputError("takes a string or an array of strings")


def _instant(value: object) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).timestamp()
        parsed = datetime.fromisoformat(str(value))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"`{str(value)[:100]}` is not a time") from None
