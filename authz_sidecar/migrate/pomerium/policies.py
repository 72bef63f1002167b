"""Converts who may pass a Pomerium route: shorthands and policies, compiled to check them. What
cannot be converted refuses every request rather than widening access."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.errors import ConfigError
from authz_sidecar.migrate.pomerium.go_values import (
    is_claim_map,
    is_go_bool,
    is_string_list,
    is_unset,
    lower_keys,
    parse_go_bool,
    parse_string_list,
)
from authz_sidecar.migrate.pomerium.report import (
    ConversionReport,
    Disposition,
    DocumentPath,
    not_needed,
    translated,
    unsupported,
)
from authz_sidecar.policy import compile_policy
from authz_sidecar.policy.compile import ALL_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from authz_sidecar.core.types import RequestAttribute

DENY_ALL: list[dict[str, Any]] = [{"deny": {"or": [{"accept": True}]}}]
_DENIES_EVERYBODY = "; the route refuses every request until you rewrite the policy"

_FLAGS = (
    "allow_public_unauthenticated_access",
    "allow_any_authenticated_user",
    "cors_allow_preflight",
)
_LISTS = ("allowed_domains", "allowed_users")
_EXPECTED_TYPES: tuple[tuple[tuple[str, ...], Callable[[object], bool], str], ...] = (
    (_FLAGS, is_go_bool, "`true` or `false`"),
    (_LISTS, is_string_list, "a list of names"),
    (("allowed_idp_claims",), is_claim_map, "a map of claims"),
    (("sub_policies",), lambda value: isinstance(value, list), "a list"),
)
_SUB_POLICY_KEYS = {
    "id": not_needed("policies have names"),
    "name": not_needed("the rules stand on the route"),
    "explanation": not_needed("a refusal names its reasons in its own words"),
    "remediation": not_needed("a refusal names its reasons in its own words"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConverter:
    """Converts the policies of routes. `facts` are the request attributes that every proxy
    delivers."""

    report: ConversionReport
    facts: frozenset[RequestAttribute] = ALL_ATTRIBUTES

    def convert(self, route: Mapping[str, Any], path: DocumentPath) -> dict[str, Any]:
        """Return the settings of our route that decide who may pass."""
        shorthands = dict(_shorthands(route))
        is_valid = self._check_types(route, path) and self._check_shorthands(shorthands, path)
        documents: list[Any] = []
        if not is_unset(policy := route.get("policy")):
            is_valid = self._add_document(policy, (*path, "policy"), documents) and is_valid
        sub_policies = route.get("sub_policies")
        for index, sub_policy in enumerate(sub_policies if isinstance(sub_policies, list) else ()):
            is_valid = (
                self._add_sub_policy(
                    lower_keys(sub_policy), (*path, "sub_policies", index), documents
                )
                and is_valid
            )
        if not is_valid:
            return {"policy": DENY_ALL}
        return shorthands | ({"policy": documents} if documents else {})

    def _check_types(self, route: Mapping[str, Any], path: DocumentPath) -> bool:
        """Pomerium refuses to start with what is of another type than it expects."""
        is_valid = True
        for names, has_type, type_name in _EXPECTED_TYPES:
            for name in names:
                value = route.get(name)
                if not is_unset(value) and not has_type(value):
                    self._record_unsupported((*path, name), f"is not {type_name}", value)
                    is_valid = False
        return is_valid

    def _check_shorthands(self, shorthands: Mapping[str, Any], path: DocumentPath) -> bool:
        """Pomerium refuses to start with shorthands that contradict each other."""
        wide = next((name for name in _FLAGS[:2] if name in shorthands), None)
        narrow = [name for name in (_FLAGS[1], *_LISTS) if name in shorthands and name != wide]
        if wide is None or not narrow:
            return True
        self._record_unsupported((*path, narrow[0]), f"contradicts `{wide}`", shorthands[narrow[0]])
        return False

    def _add_document(self, policy: object, path: DocumentPath, documents: list[Any]) -> bool:
        if isinstance(policy, str):
            document = parse_yaml(policy, file="")
            if document.problems:
                self._record_unsupported(
                    path, f"cannot be read: {document.problems[0].message}", policy
                )
                return False
            policy = document.data
        try:
            compile_policy(
                policy,
                source_map=self.report.source_map,
                source_path=path,
                available_attributes=self.facts,
            )
        except ConfigError as error:
            self._record_unsupported(
                path, "; ".join(problem.message for problem in error.problems), policy
            )
            return False
        documents += policy if isinstance(policy, list) else [policy]
        return True

    def _add_sub_policy(
        self, sub_policy: Mapping[str, Any], path: DocumentPath, documents: list[Any]
    ) -> bool:
        is_valid, criteria = True, list(_criteria(sub_policy))
        for key, value in sub_policy.items():
            self.report.record((*path, key), _SUB_POLICY_KEYS.get(key, translated("policy")), value)
        if criteria:
            documents.append({"allow": {"or": criteria}})
        source = sub_policy.get("source_ppl")
        if not is_unset(source):
            is_valid = self._add_document(source, (*path, "source_ppl"), documents)
        if not is_unset(rego := sub_policy.get("rego")):
            if is_unset(source):
                self._record_unsupported(
                    (*path, "rego"), "Rego is not read, write it as a policy", rego
                )
                return False
            disposition = not_needed("compiled from `source_ppl`, which is translated")
            self.report.record((*path, "rego"), disposition, "…")
        return is_valid

    def _record_unsupported(self, path: DocumentPath, reason: str, value: object) -> None:
        disposition: Disposition = unsupported(f"{reason}{_DENIES_EVERYBODY}", decisive=True)
        self.report.record(path, disposition, value)


def _shorthands(route: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, True) for name in _FLAGS if parse_go_bool(route.get(name)))
    for name in _LISTS:
        if given := parse_string_list(route.get(name)):
            yield name, given
    if claims := _claims(route):
        yield "allowed_idp_claims", claims


def _claims(route: Mapping[str, Any]) -> dict[str, list[Any]]:
    given = route.get("allowed_idp_claims")
    return {
        str(claim): values if isinstance(values, list) else [values]
        for claim, values in (given.items() if isinstance(given, dict) else ())
    }


def _criteria(sub_policy: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The shorthands of a sub-policy as the criteria that they mean (`routes.shorthands`)."""
    for domain in parse_string_list(sub_policy.get("allowed_domains")):
        yield {"domain": {"is": domain}}
    for claim, values in _claims(sub_policy).items():
        yield from ({f"claim/{claim}": value} for value in values)
    for user in parse_string_list(sub_policy.get("allowed_users")):
        yield {"user": {"is": user}}
        yield {"email": {"is": user}}
