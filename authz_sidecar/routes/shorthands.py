"""Translates the route shorthands, such as `allowed_domains`, to the policy language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from authz_sidecar.policy.document import Action, Connective, CriterionNode, OperatorNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from authz_sidecar.core.source_locations import PathStep


class Shorthands(Protocol):
    """The settings of a route that stand for rules."""

    @property
    def allow_public_unauthenticated_access(self) -> bool:
        """Stands for `accept`."""

    @property
    def cors_allow_preflight(self) -> bool:
        """Stands for `cors_preflight`."""

    @property
    def allow_any_authenticated_user(self) -> bool:
        """Stands for `authenticated_user`."""

    @property
    def allowed_domains(self) -> Sequence[str]:
        """Each stands for `domain`."""

    @property
    def allowed_idp_claims(self) -> Mapping[str, Sequence[object]]:
        """Each value stands for `claim/<name>`."""

    @property
    def allowed_users(self) -> Sequence[str]:
        """Each stands for `user` or `email`."""


def written_shorthands(
    route: Shorthands, *, source_path: tuple[PathStep, ...]
) -> tuple[OperatorNode, ...]:
    """Returns the shorthands as alternatives of one rule; each criterion has the path of its
    shorthand below `source_path`."""
    criteria = tuple(_criteria(route, source_path))
    return (OperatorNode(Action.ALLOW, Connective.OR, criteria, source_path),) if criteria else ()


def shorthand_conflicts(route: Shorthands) -> Iterator[tuple[str, str]]:
    """Yields pairs of shorthands that contradict each other: (the wide one, the one that it makes
    meaningless)."""
    narrow = [
        name
        for name, given in (
            ("allowed_domains", route.allowed_domains),
            ("allowed_users", route.allowed_users),
        )
        if given
    ]
    if route.allow_public_unauthenticated_access:
        wide = "allow_public_unauthenticated_access"
        if route.allow_any_authenticated_user:
            yield wide, "allow_any_authenticated_user"
        yield from ((wide, name) for name in narrow)
    if route.allow_any_authenticated_user:
        yield from (("allow_any_authenticated_user", name) for name in narrow)


def _criteria(route: Shorthands, source_path: tuple[PathStep, ...]) -> Iterator[CriterionNode]:
    if route.allow_public_unauthenticated_access:
        yield CriterionNode("accept", True, (*source_path, "allow_public_unauthenticated_access"))
    if route.cors_allow_preflight:
        yield CriterionNode("cors_preflight", True, (*source_path, "cors_allow_preflight"))
    if route.allow_any_authenticated_user:
        yield CriterionNode(
            "authenticated_user", True, (*source_path, "allow_any_authenticated_user")
        )
    for index, domain in enumerate(route.allowed_domains):
        yield CriterionNode("domain", {"is": domain}, (*source_path, "allowed_domains", index))
    for claim, values in route.allowed_idp_claims.items():
        for index, value in enumerate(values):
            path = (*source_path, "allowed_idp_claims", claim, index)
            yield CriterionNode(f"claim/{claim}", value, path)
    for index, user in enumerate(route.allowed_users):
        path = (*source_path, "allowed_users", index)
        yield CriterionNode("user", {"is": user}, path)
        yield CriterionNode("email", {"is": user}, path)
