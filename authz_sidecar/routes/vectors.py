"""Loads the policy of a test vector that gives a whole route: its shorthands and its own rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy.document import parse_document
from authz_sidecar.policy.vectors import PolicyRejected, compile_nodes
from authz_sidecar.routes.shorthands import shorthand_conflicts, written_shorthands

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import SourceMap
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.model import Policy

_SWITCHES = (
    "allow_any_authenticated_user",
    "allow_public_unauthenticated_access",
    "cors_allow_preflight",
)
_LISTS = ("allowed_domains", "allowed_users")
_KEYS = (*_SWITCHES, *_LISTS, "allowed_idp_claims", "policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shorthands:
    allow_public_unauthenticated_access: bool
    cors_allow_preflight: bool
    allow_any_authenticated_user: bool
    allowed_domains: Sequence[str]
    allowed_idp_claims: Mapping[str, Sequence[object]]
    allowed_users: Sequence[str]


def load_route(route: Mapping[str, object], *, source_map: SourceMap) -> Policy:
    """Returns the policy of the route. Raises `PolicyRejected`; its stage is `route-validation` for
    shorthands that contradict each other."""
    problems: list[Problem] = []
    shorthands = _written(route, source_map, problems)
    for wide, narrow in () if shorthands is None else shorthand_conflicts(shorthands):
        message = f"`{wide}` makes `{narrow}` meaningless: give one of them"
        problems.append(source_map.problem(message, narrow))
    if problems or shorthands is None:
        raise PolicyRejected("route-validation", sorted(problems))
    operators = list(written_shorthands(shorthands, source_path=()))
    if route.get("policy") is not None:
        operators += parse_document(
            route["policy"], source_map=source_map, source_path=("policy",), problems=problems
        )
    return compile_nodes(operators, problems, source_map=source_map)


def _written(
    route: Mapping[str, object], source_map: SourceMap, problems: list[Problem]
) -> _Shorthands | None:
    def report(key: str, message: str) -> None:
        problems.append(source_map.problem(message, key))

    for key in route:
        if key not in _KEYS:
            report(key, unknown_name_message("shorthand", key, _KEYS))
    for key in _SWITCHES:
        if not isinstance(route.get(key, False), bool):
            report(key, "takes `true` or `false`")
    lists = {key: _strings(route.get(key, ())) for key in _LISTS}
    for key, value in lists.items():
        if value is None:
            report(key, "takes an array of strings")
    claims = route.get("allowed_idp_claims", {})
    if not isinstance(claims, Mapping) or not all(map(_is_list, claims.values())):
        report("allowed_idp_claims", "takes an object of arrays")
        claims = {}
    if problems:
        return None
    switches = {key: bool(route.get(key, False)) for key in _SWITCHES}
    return _Shorthands(
        allow_public_unauthenticated_access=switches["allow_public_unauthenticated_access"],
        cors_allow_preflight=switches["cors_allow_preflight"],
        allow_any_authenticated_user=switches["allow_any_authenticated_user"],
        allowed_domains=lists["allowed_domains"] or (),
        allowed_idp_claims=claims,
        allowed_users=lists["allowed_users"] or (),
    )


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _strings(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)
