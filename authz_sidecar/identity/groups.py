"""Which of a user's groups an application hears of.

Hundreds of groups do not fit into headers, and most are none of an application's business.
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
    """`headers.groups: all`"""

    def __call__(self, identity: Identity, origin: Origin) -> tuple[str, ...]:
        del origin
        return identity.groups


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenGroups:
    """Those that `names` gives for the host."""

    names: Callable[[Origin], frozenset[str]]

    def __call__(self, identity: Identity, origin: Origin) -> tuple[str, ...]:
        names = self.names(origin)
        return tuple(group for group in identity.groups if group in names)


def groups_in_policies(index: RouteIndex) -> ChosenGroups:
    """`headers.groups: policy`: those that any policy of the host mentions."""

    @lru_cache(maxsize=1024)
    def mentioned(origin: Origin) -> frozenset[str]:
        return frozenset().union(*(route.policy.groups for route in index.for_host(origin)))

    return ChosenGroups(names=mentioned)


def groups_named(names: tuple[str, ...]) -> ChosenGroups:
    wanted = frozenset(names)
    return ChosenGroups(names=lambda _origin: wanted)
