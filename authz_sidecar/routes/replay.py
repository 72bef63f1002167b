"""Decides recorded checks by other rules.

A log does not hold every value that rules may compare: a criterion whose value is missing is tried
with both outcomes, and there is a verdict only where they lead to the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.core.path_normalization import interpretations
from authz_sidecar.core.types import CheckRequest, Identity, RequestAttribute
from authz_sidecar.core.urls import MalformedUrl, parse_authority
from authz_sidecar.policy.criteria.record import table_of
from authz_sidecar.policy.document import Action
from authz_sidecar.policy.model import combine_operators
from authz_sidecar.policy.reasons import SUCCESS_BIT, outcome_of_failure
from authz_sidecar.policy.subject import build_subject
from authz_sidecar.routes.explain import ExplainedVerdict, explained_verdict

if TYPE_CHECKING:
    from authz_sidecar.policy.combinators import Part
    from authz_sidecar.policy.criteria import Criterion
    from authz_sidecar.policy.model import Policy
    from authz_sidecar.routes.index import RouteIndex
    from authz_sidecar.routes.model import Route

MESSAGE = "authorize check"

# A failure needs a reason bit: `and` would not see an outcome of 0 among the successes.
_TRIED_OUTCOMES = (outcome_of_failure("reject"), SUCCESS_BIT)
_MAX_OPEN_CRITERIA = 8  # criteria, so 256 combinations
_MAX_PATH_LENGTH = 2048  # the log cuts longer ones

# The field that a criterion needs beside those that every line has.
_NEEDED_FIELD = {
    "authentication": "the sign-in",
    "claim": "claims",
    "client_certificate": "the client certificate",
    "cors_preflight": "headers",
    "groups": "groups",
    "http_header": "headers",
    "invalid_client_certificate": "the client certificate",
    "query": "the query",
    "record": "records",
}
_SUBJECT_CRITERIA = frozenset({"authentication", "claim", "groups", "record"})


class NotACheckLineError(ValueError):
    """The log line is not about a check."""


class IncompleteLogLineError(ValueError):
    """A check whose line lacks something that is needed to decide again; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCheck:
    """A check of the log.

    - `identity`: its provider is empty where the line does not name it.
    - `recorded_fields`: the optional fields that this line has.
    """

    request: CheckRequest
    identity: Identity | None
    now: float
    recorded_fields: frozenset[str]


class ReplayResult(NamedTuple):
    """The verdict of other rules.

    - `verdict`: None where it depends on `missing_fields`.
    - `route`: None where no route matches.
    """

    verdict: ExplainedVerdict | None
    route: str | None
    missing_fields: frozenset[str]


def parse_log_line(line: object, *, scheme_of: Mapping[str, str]) -> LoggedCheck:
    """Parses a line of the check log.

    `scheme_of` gives the scheme by authority; a line may name its own, and may have `query`,
    `groups`, `claims` and `provider`. Raises `NotACheckLineError` and `IncompleteLogLineError`.
    """
    if not isinstance(line, Mapping) or line.get("message") != MESSAGE:
        raise NotACheckLineError
    method, host, path = (_text(line, key) for key in ("method", "host", "path"))
    if method is None or host is None or path is None:
        raise IncompleteLogLineError("method, host and path")
    if len(path) >= _MAX_PATH_LENGTH:
        raise IncompleteLogLineError("the whole path")
    scheme = _text(line, "scheme") or scheme_of.get(host, "https")
    try:
        origin = parse_authority(host, scheme=scheme)
        now = datetime.fromisoformat(str(line.get("time")))
        client = ip_address(ip) if (ip := _text(line, "ip")) else None
    except (MalformedUrl, ValueError) as error:
        raise IncompleteLogLineError(f"what can be read ({error})") from None
    query = _text(line, "query")
    groups, claims = line.get("groups"), line.get("claims")
    optional_fields = {"the query": query, "groups": groups, "claims": claims}
    user = _text(line, "user")
    identity = None
    if user is not None:
        identity = Identity(
            provider=_text(line, "provider") or "",
            issuer="",
            subject=user,
            email=_text(line, "email"),
            groups=tuple(map(str, groups)) if isinstance(groups, list | tuple) else (),
            claims=claims if isinstance(claims, Mapping) else {},
        )
    return LoggedCheck(
        request=CheckRequest(
            adapter="log",
            method=method,
            origin=origin,
            path=path,
            query=query,
            client=client,
            attributes=frozenset(
                {
                    RequestAttribute.METHOD,
                    RequestAttribute.PATH,
                    RequestAttribute.QUERY,
                    RequestAttribute.HEADERS,
                }
            ),
        ),
        identity=identity,
        now=(now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp(),
        recorded_fields=frozenset(
            name for name, value in optional_fields.items() if value is not None
        ),
    )


def replay(index: RouteIndex, recorded: LoggedCheck) -> ReplayResult:
    """Returns the verdict of these routes on a recorded check."""
    request = recorded.request
    try:
        paths = interpretations(request.path, ignore_case=index.ignores_case(request.origin))
    except MalformedUrl:
        return ReplayResult(ExplainedVerdict.REFUSED, None, frozenset())
    matched = [index.match(request.origin, path) for path in paths]
    if len({id(route) for route in matched}) != 1:
        return ReplayResult(ExplainedVerdict.REFUSED, None, frozenset())
    route = matched[0]
    if route is None:
        return ReplayResult(ExplainedVerdict.DENY, None, frozenset())
    identity = _effective_identity(route, recorded.identity)
    missing_fields: frozenset[str] = frozenset()
    verdicts: set[ExplainedVerdict] = set()
    for path in paths:
        interpreted = replace(recorded, request=replace(request, path=path), identity=identity)
        possible, missing = _possible(route.policy, interpreted)
        if len(possible) > 1:
            missing_fields |= missing
        verdicts |= possible
    if missing_fields:
        return ReplayResult(None, route.name, missing_fields)
    return ReplayResult(
        next(iter(verdicts)) if len(verdicts) == 1 else ExplainedVerdict.REFUSED,
        route.name,
        missing_fields,
    )


def _effective_identity(route: Route, identity: Identity | None) -> Identity | None:
    if identity is None or route.identity == "none":
        return None
    if not identity.provider and len(route.providers) == 1:
        return replace(identity, provider=route.providers[0])
    return identity if not identity.provider or identity.provider in route.providers else None


def _possible(
    policy: Policy, recorded: LoggedCheck
) -> tuple[set[ExplainedVerdict], frozenset[str]]:
    """Every verdict that the policy may return, for any values of the missing fields, and those
    fields."""
    identity, request = recorded.identity, recorded.request
    subject = build_subject(identity, qualified=policy.qualified_users)
    known_outcomes: dict[int, int] = {}
    open_: dict[int, str] = {}
    for criterion in policy.criteria:
        if field := _missing_field(criterion, policy, recorded):
            open_[id(criterion)] = field
        else:
            known_outcomes[id(criterion)] = criterion.test(
                request, subject, recorded.now, policy.context
            )
    missing = frozenset(open_.values())
    if len(open_) > _MAX_OPEN_CRITERIA:
        return set(ExplainedVerdict), missing
    verdicts = set()
    for combination in product(_TRIED_OUTCOMES, repeat=len(open_)):
        outcomes = {**known_outcomes, **dict(zip(open_, combination, strict=True))}

        def outcome_of(criterion: Criterion, outcomes: Mapping[int, int] = outcomes) -> int:
            return outcomes[id(criterion)]

        if policy.operators:
            allow = _constant_outcome(combine_operators(policy.operators, Action.ALLOW, outcome_of))
            deny = _constant_outcome(combine_operators(policy.operators, Action.DENY, outcome_of))
        else:
            allow, deny = _constant_outcome(policy.allow), _constant_outcome(policy.deny)
        verdicts.add(explained_verdict(policy.to_decision(allow, deny)))
    return verdicts, missing


def _constant_outcome(part: Part) -> int:
    return part if isinstance(part, int) else 0


def _missing_field(criterion: Criterion, policy: Policy, recorded: LoggedCheck) -> str | None:
    """The field that the log line lacks for this criterion; None where it has everything."""
    is_anonymous = recorded.identity is None
    by_address = RequestAttribute.CLIENT_ADDRESS in criterion.attributes
    if _is_table_known(criterion, policy):
        if not policy.qualified_users or by_address or recorded.identity is None:
            return None
        return None if recorded.identity.provider else "the provider"
    if criterion.name == "user" and policy.qualified_users and recorded.identity is not None:
        return None if recorded.identity.provider else "the provider"
    if is_anonymous and criterion.name in _SUBJECT_CRITERIA and not by_address:
        return None
    if criterion.name == "cors_preflight" and recorded.request.method != "OPTIONS":
        return None
    field = _NEEDED_FIELD.get(criterion.name)
    return None if field in recorded.recorded_fields else field


def _is_table_known(criterion: Criterion, policy: Policy) -> bool:
    lookup, records = table_of(criterion), policy.context.records
    if lookup is None or records is None:
        return False
    table, by = lookup
    return (records.users(table) if by == "user" else records.networks(table)) is not None


def _text(line: Mapping[str, object], key: str) -> str | None:
    value = line.get(key)
    return value if isinstance(value, str) else None
