"""Group filters: which of a user's groups an application receives.

Hundreds of groups do not fit into headers, and an application needs few of them. Decides the
selection alone; how groups are encoded is decided by `identity/headers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Identity
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes.index import RouteIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class AllGroups:
    """The filter of `headers.groups: all`, which selects every group."""

    def __call__(self, identity: Identity, origin: Origin) -> tuple[str, ...]:
        del origin
        return identity.groups


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedGroups:
    """A filter that selects the groups whose names `names_for` gives for the host."""

    names_for: Callable[[Origin], frozenset[str]]

    def __call__(self, identity: Identity, origin: Origin) -> tuple[str, ...]:
        names = self.names_for(origin)
        return tuple(group for group in identity.groups if group in names)


def filter_by_policies(index: RouteIndex) -> SelectedGroups:
    """The filter of `headers.groups: policy`, which selects the groups that a policy of the host
    names."""

    @lru_cache(maxsize=1024)
    def policy_groups(origin: Origin) -> frozenset[str]:
        return frozenset().union(*(route.policy.groups for route in index.for_host(origin)))

    return SelectedGroups(names_for=policy_groups)


def filter_by_names(group_names: tuple[str, ...]) -> SelectedGroups:
    """The filter of `headers.groups` with a list, which selects these groups on every host."""
    selected = frozenset(group_names)
    return SelectedGroups(names_for=lambda _origin: selected)
