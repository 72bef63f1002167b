"""Recorded checks against other rules. A log does not hold everything that rules may ask: what it
lacks is tried both ways, and only where that makes no difference is there a verdict."""

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

# What fails has a reason, or `and` would not see it among what holds.
_OUTCOMES = (outcome_of_failure("reject"), SUCCESS_BIT)
_MAX_OPEN_CRITERIA = 8  # criteria, so 256 combinations
_MAX_PATH_LENGTH = 2048  # the log cuts longer ones

# What a criterion needs beside what every line has.
_NEEDS = {
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
_OF_SUBJECT = frozenset({"authentication", "claim", "groups", "record"})


class NotACheckLineError(ValueError):
    """Another line of the log."""


class IncompleteLogLineError(ValueError):
    """A check without what it takes to ask again; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCheck:
    """`recorded_fields` is what this line tells beside the usual. The identity's provider is empty
    where the line does not name it."""

    request: CheckRequest
    identity: Identity | None
    now: float
    recorded_fields: frozenset[str]


class ReplayResult(NamedTuple):
    """`verdict` is None where it depends on `missing_fields`. `route` is None where there is
    none."""

    verdict: ExplainedVerdict | None
    route: str | None
    missing_fields: frozenset[str]


def parse_log_line(line: object, *, scheme_of: Mapping[str, str]) -> LoggedCheck:
    """Raises `NotACheckLineError` and `IncompleteLogLineError`. `scheme_of` tells schemes by
    authority; lines may also name their own, as they may `query`, `groups`, `claims` and
    `provider`."""
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
    except (MalformedUrl, ValueError) as wrong:
        raise IncompleteLogLineError(f"what can be read ({wrong})") from None
    query = _text(line, "query")
    groups, claims = line.get("groups"), line.get("claims")
    told = {"the query": query, "groups": groups, "claims": claims}
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
        recorded_fields=frozenset(name for name, value in told.items() if value is not None),
    )


def replay(index: RouteIndex, recorded: LoggedCheck) -> ReplayResult:
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
    identity = _counted(route, recorded.identity)
    lacking: frozenset[str] = frozenset()
    verdicts: set[ExplainedVerdict] = set()
    for path in paths:
        asked = replace(recorded, request=replace(request, path=path), identity=identity)
        possible, missing = _possible(route.policy, asked)
        if len(possible) > 1:
            lacking |= missing
        verdicts |= possible
    if lacking:
        return ReplayResult(None, route.name, lacking)
    return ReplayResult(
        next(iter(verdicts)) if len(verdicts) == 1 else ExplainedVerdict.REFUSED,
        route.name,
        lacking,
    )


def _counted(route: Route, identity: Identity | None) -> Identity | None:
    if identity is None or route.identity == "none":
        return None
    if not identity.provider and len(route.providers) == 1:
        return replace(identity, provider=route.providers[0])
    return identity if not identity.provider or identity.provider in route.providers else None


def _possible(
    policy: Policy, recorded: LoggedCheck
) -> tuple[set[ExplainedVerdict], frozenset[str]]:
    """Every verdict that the policy may come to, whatever the log does not tell, and what that is."""
    identity, request = recorded.identity, recorded.request
    subject = build_subject(identity, qualified=policy.qualified_users)
    fixed: dict[int, int] = {}
    open_: dict[int, str] = {}
    for criterion in policy.criteria:
        if need := _need(criterion, policy, recorded):
            open_[id(criterion)] = need
        else:
            fixed[id(criterion)] = criterion.test(request, subject, recorded.now, policy.evidence)
    missing = frozenset(open_.values())
    if len(open_) > _MAX_OPEN_CRITERIA:
        return set(ExplainedVerdict), missing
    verdicts = set()
    for tried in product(_OUTCOMES, repeat=len(open_)):
        outcomes = {**fixed, **dict(zip(open_, tried, strict=True))}

        def known(criterion: Criterion, outcomes: Mapping[int, int] = outcomes) -> int:
            return outcomes[id(criterion)]

        if policy.operators:
            allow = _known(combine_operators(policy.operators, Action.ALLOW, known))
            deny = _known(combine_operators(policy.operators, Action.DENY, known))
        else:
            allow, deny = _known(policy.allow), _known(policy.deny)
        verdicts.add(explained_verdict(policy.to_decision(allow, deny)))
    return verdicts, missing


def _known(part: Part) -> int:
    return part if isinstance(part, int) else 0


def _need(criterion: Criterion, policy: Policy, recorded: LoggedCheck) -> str | None:
    """What this line would have to tell for the criterion to be asked."""
    nobody = recorded.identity is None
    by_address = RequestAttribute.CLIENT_ADDRESS in criterion.attributes
    if _table_known(criterion, policy):
        if not policy.qualified_users or by_address or recorded.identity is None:
            return None
        return None if recorded.identity.provider else "the provider"
    if criterion.name == "user" and policy.qualified_users and recorded.identity is not None:
        return None if recorded.identity.provider else "the provider"
    if nobody and criterion.name in _OF_SUBJECT and not by_address:
        return None
    if criterion.name == "cors_preflight" and recorded.request.method != "OPTIONS":
        return None
    need = _NEEDS.get(criterion.name)
    return None if need in recorded.recorded_fields else need


def _table_known(criterion: Criterion, policy: Policy) -> bool:
    asked, records = table_of(criterion), policy.evidence.records
    if asked is None or records is None:
        return False
    table, by = asked
    return (records.users(table) if by == "user" else records.networks(table)) is not None


def _text(line: Mapping[str, object], key: str) -> str | None:
    value = line.get(key)
    return value if isinstance(value, str) else None
