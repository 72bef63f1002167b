"""An explanation as plain data, for JSON and for a terminal. Adds the source locations of the rules
and the response to the proxy; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

from authz_sidecar.core.types import step_up_of
from authz_sidecar.routes.explain import (
    ExplainedRequest,
    ExplainedVerdict,
    Interpretation,
    explained_verdict,
)

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep, SourceMap
    from authz_sidecar.core.types import Identity
    from authz_sidecar.policy.explain import ExplainedCriterion, ExplainedRule
    from authz_sidecar.routes.model import Route


class CriterionJson(TypedDict):
    """A criterion of a rule. `compares` is its value in the policy, `found` the value of the
    request or the user."""

    criterion: str
    compares: object
    found: object
    note: str | None
    holds: bool
    reasons: list[str]
    at: str


class RuleJson(TypedDict):
    """One operator of one rule; `at` is its source location."""

    action: str
    operator: str
    source: str
    at: str
    holds: bool
    decisive: bool
    reasons: list[str]
    criteria: list[CriterionJson]


class InterpretationJson(TypedDict):
    """One interpretation of the path, with the rules that decided about it."""

    path: str
    route: str | None
    verdict: str | None
    allow: bool | None
    deny: bool | None
    rules: list[RuleJson]


class RouteJson(TypedDict):
    """The route of the request: its name, its host and paths, and its source location."""

    name: str
    place: str
    at: str


class ExplanationJson(TypedDict):
    """The explanation of one request; a published format of `explain --json`."""

    method: str
    url: str
    client: str | None
    time: str
    identity: dict[str, object] | None
    overlooked: str | None
    route: RouteJson | None
    readings: list[InterpretationJson]
    verdict: str
    reasons: list[str]
    trouble: str | None
    answer: str


def to_json(
    explained: ExplainedRequest, *, source_map: SourceMap, base_path: str
) -> ExplanationJson:
    """Returns the explanation as plain data, with locations from `source_map` and login URLs below
    `base_path`."""
    request = explained.request
    renderer = _Renderer(source_map)
    return {
        "method": request.method,
        "url": request.url,
        "client": None if request.client is None else str(request.client),
        "time": _time(explained.now),
        "identity": None if explained.identity is None else _identity(explained.identity),
        "overlooked": explained.near_miss,
        "route": None if explained.route is None else renderer.route(explained.route),
        "readings": [
            renderer.reading(interpretation) for interpretation in explained.interpretations
        ],
        "verdict": str(explained.verdict),
        "reasons": sorted(explained.reasons),
        "trouble": explained.error,
        "answer": _answer(explained, base_path),
    }


class _Renderer:
    def __init__(self, source_map: SourceMap) -> None:
        self._where = source_map

    def route(self, route: Route) -> RouteJson:
        return {
            "name": route.name,
            "place": f"{route.host}, {route.paths}",
            "at": self._at(route.written_at),
        }

    def reading(self, reading: Interpretation) -> InterpretationJson:
        explanation = reading.explanation
        return {
            "path": reading.path,
            "route": None if reading.route is None else reading.route.name,
            "verdict": None
            if explanation is None
            else str(explained_verdict(explanation.decision)),
            "allow": None if explanation is None else explanation.allow.holds,
            "deny": None if explanation is None else explanation.deny.holds,
            "rules": [] if explanation is None else [self._rule(it) for it in explanation.rules],
        }

    def _rule(self, rule: ExplainedRule) -> RuleJson:
        path = rule.operator.path
        return {
            "action": str(rule.operator.action),
            "operator": str(rule.operator.kind),
            "source": _source(path),
            "at": self._at(path),
            "holds": rule.result.holds,
            "decisive": rule.decisive,
            "reasons": sorted(rule.result.reasons),
            "criteria": [self._criterion(each) for each in rule.criteria],
        }

    def _criterion(self, explained: ExplainedCriterion) -> CriterionJson:
        criterion = explained.criterion
        return {
            "criterion": criterion.source_text,
            "compares": to_plain_json(criterion.data),
            "found": to_plain_json(explained.observed.value),
            "note": explained.observed.note,
            "holds": explained.result.holds,
            "reasons": sorted(explained.result.reasons),
            "at": self._at(criterion.path),
        }

    def _at(self, path: tuple[PathStep, ...]) -> str:
        file, line, _ = self._where.location_of(*path)
        return f"{file}:{line}" if line else file


def _source(path: tuple[PathStep, ...]) -> str:
    match path:
        case ("policies", name, *_):
            return f"policy `{name}`"
        case ("routes", _, "policy", *_):
            return "the route's own policy"
        case ("routes", _):
            return "the route's shorthands"
        case _:
            return "the policy"


def to_plain_json(value: object) -> object:
    """Returns the value as JSON types; a value of any other type is shown as text."""
    if isinstance(value, Mapping):
        return {str(key): to_plain_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_json(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _identity(identity: Identity) -> dict[str, object]:
    return {
        "provider": identity.provider,
        "user": identity.subject,
        "email": identity.email,
        "groups": [*identity.groups],
        "claims": to_plain_json(identity.claims),
    }


def _time(now: float) -> str:
    try:
        return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return str(now)


def _answer(explained: ExplainedRequest, base_path: str) -> str:
    request = explained.request
    match explained.verdict:
        case ExplainedVerdict.ALLOW:
            identity_note = (
                "without identity headers" if explained.identity is None else "with their identity"
            )
            return f"200, the request goes on to the app {identity_note}"
        case ExplainedVerdict.SIGN_IN:
            step_up = _step_up_text(explained)
            return_url = request.url if request.method in {"GET", "HEAD"} else f"{request.origin}/"
            start_url = f"{request.origin}{base_path}/start?rd={quote(return_url, safe='')}"
            return f"a page is redirected to {start_url}{step_up}, everything else gets 401"
        case ExplainedVerdict.DENY:
            return "403, with an error page for browsers"
        case ExplainedVerdict.REFUSED:
            return "400, for every client"


def _step_up_text(explained: ExplainedRequest) -> str:
    """What a new sign-in has to meet; empty where the user is not signed in."""
    explanations = [
        part.explanation for part in explained.interpretations if part.explanation is not None
    ]
    step_up = step_up_of(explanations[0].decision) if explanations else None
    if step_up is None:
        return ""
    max_age = None if step_up.max_age is None else f"max_age {step_up.max_age:g}s"
    acr = f"acr {' or '.join(step_up.acr)}" if step_up.acr else None
    amr = f"amr {' and '.join(step_up.amr)}" if step_up.amr else None
    conditions = ", ".join(part for part in (max_age, acr, amr) if part is not None)
    return f" to sign in again ({conditions})"
