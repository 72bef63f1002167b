"""Who may pass a Pomerium route, as our route says it: shorthands and policies, checked as they
are carried over. What cannot be carried over refuses everybody rather than widening the route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.yaml import read_text
from authz_sidecar.errors import ConfigError
from authz_sidecar.migrate.pomerium.go_values import (
    are_claims,
    are_names,
    folded,
    is_truth,
    says_nothing,
    texts,
    truth,
)
from authz_sidecar.migrate.pomerium.report import (
    Handling,
    Ledger,
    Path,
    not_needed,
    translated,
    unsupported,
)
from authz_sidecar.policy import compile_policy
from authz_sidecar.policy.compile import ALL_FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from authz_sidecar.core.types import Fact

NOBODY: list[dict[str, Any]] = [{"deny": {"or": [{"accept": True}]}}]
_REFUSES = "; the route refuses everybody until you have written it anew"

_FLAGS = (
    "allow_public_unauthenticated_access",
    "allow_any_authenticated_user",
    "cors_allow_preflight",
)
_LISTS = ("allowed_domains", "allowed_users")
_SHAPES: tuple[tuple[tuple[str, ...], Callable[[object], bool], str], ...] = (
    (_FLAGS, is_truth, "`true` or `false`"),
    (_LISTS, are_names, "list of names"),
    (("allowed_idp_claims",), are_claims, "map of claims"),
    (("sub_policies",), lambda value: isinstance(value, list), "list"),
)
_SUB_KEYS = {
    "id": not_needed("policies have names"),
    "name": not_needed("the rules stand on the route"),
    "explanation": not_needed("a refusal names its reasons in its own words"),
    "remediation": not_needed("a refusal names its reasons in its own words"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReader:
    """`facts` are those that every proxy delivers."""

    ledger: Ledger
    facts: frozenset[Fact] = ALL_FACTS

    def settings(self, route: Mapping[str, Any], at: Path) -> dict[str, Any]:
        """What our route says about who may pass."""
        shorthands = dict(_shorthands(route))
        sound = self._in_shape(route, at) and self._agree(shorthands, at)
        documents: list[Any] = []
        if not says_nothing(policy := route.get("policy")):
            sound = self._document(policy, (*at, "policy"), documents) and sound
        subs = route.get("sub_policies")
        for place, sub in enumerate(subs if isinstance(subs, list) else ()):
            sound = self._sub(folded(sub), (*at, "sub_policies", place), documents) and sound
        if not sound:
            return {"policy": NOBODY}
        return shorthands | ({"policy": documents} if documents else {})

    def _in_shape(self, route: Mapping[str, Any], at: Path) -> bool:
        """Pomerium refuses to start with what is of another type than it expects."""
        sound = True
        for names, fits, what in _SHAPES:
            for name in names:
                value = route.get(name)
                if not says_nothing(value) and not fits(value):
                    self._refuse((*at, name), f"is no {what}", value)
                    sound = False
        return sound

    def _agree(self, shorthands: Mapping[str, Any], at: Path) -> bool:
        """Pomerium refuses to start with shorthands that contradict each other."""
        wide = next((name for name in _FLAGS[:2] if name in shorthands), None)
        narrow = [name for name in (_FLAGS[1], *_LISTS) if name in shorthands and name != wide]
        if wide is None or not narrow:
            return True
        self._refuse((*at, narrow[0]), f"contradicts `{wide}`", shorthands[narrow[0]])
        return False

    def _document(self, policy: object, path: Path, documents: list[Any]) -> bool:
        if isinstance(policy, str):
            read = read_text(policy, file="")
            if read.problems:
                self._refuse(path, f"cannot be read: {read.problems[0].message}", policy)
                return False
            policy = read.data
        try:
            compile_policy(policy, where=self.ledger.where, at=path, facts=self.facts)
        except ConfigError as error:
            self._refuse(path, "; ".join(it.message for it in error.problems), policy)
            return False
        documents += policy if isinstance(policy, list) else [policy]
        return True

    def _sub(self, sub: Mapping[str, Any], path: Path, documents: list[Any]) -> bool:
        sound, criteria = True, list(_criteria(sub))
        for key, value in sub.items():
            self.ledger.note((*path, key), _SUB_KEYS.get(key, translated("policy")), value)
        if criteria:
            documents.append({"allow": {"or": criteria}})
        source = sub.get("source_ppl")
        if not says_nothing(source):
            sound = self._document(source, (*path, "source_ppl"), documents)
        if not says_nothing(rego := sub.get("rego")):
            if says_nothing(source):
                self._refuse((*path, "rego"), "Rego is not read, write it as a policy", rego)
                return False
            handling = not_needed("compiled from `source_ppl`, which is translated")
            self.ledger.note((*path, "rego"), handling, "…")
        return sound

    def _refuse(self, path: Path, why: str, value: object) -> None:
        handling: Handling = unsupported(f"{why}{_REFUSES}", decisive=True)
        self.ledger.note(path, handling, value)


def _shorthands(route: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, True) for name in _FLAGS if truth(route.get(name)))
    for name in _LISTS:
        if given := texts(route.get(name)):
            yield name, given
    if claims := _claims(route):
        yield "allowed_idp_claims", claims


def _claims(route: Mapping[str, Any]) -> dict[str, list[Any]]:
    given = route.get("allowed_idp_claims")
    return {
        str(claim): values if isinstance(values, list) else [values]
        for claim, values in (given.items() if isinstance(given, dict) else ())
    }


def _criteria(sub: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Shorthands of a sub-policy as what they stand for (`routes.shorthands`)."""
    for domain in texts(sub.get("allowed_domains")):
        yield {"domain": {"is": domain}}
    for claim, values in _claims(sub).items():
        yield from ({f"claim/{claim}": value} for value in values)
    for user in texts(sub.get("allowed_users")):
        yield {"user": {"is": user}}
        yield {"email": {"is": user}}
