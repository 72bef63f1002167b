"""How somebody has to have signed in, and what of it is missing.

Pure. Knows neither who asks for it nor how a provider is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_QUESTION = 1024
"""Bytes of the method and path that a step-up is for; a longer one is told by its page alone."""


class SignIn(Protocol):
    """How somebody signed in, and when: Unix seconds, None where nobody says."""

    @property
    def authenticated_at(self) -> float | None: ...
    @property
    def acr(self) -> str | None: ...
    @property
    def amr(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """At most `max_age` seconds ago, at one of the levels `acr` (in order of preference), by all
    the methods `amr` (OpenID Connect Core, 2). Empty and None ask for nothing."""

    max_age: float | None = None
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()

    def missing(self, sign_in: SignIn, *, now: float) -> StepUp | None:
        """What of this a sign-in does not meet; None when it meets all of it."""
        at = sign_in.authenticated_at
        late = self.max_age is not None and (at is None or now >= at + self.max_age)
        left = StepUp(
            max_age=self.max_age if late else None,
            acr=() if sign_in.acr in self.acr else self.acr,
            amr=() if set(self.amr) <= set(sign_in.amr) else self.amr,
        )
        return None if left == StepUp() else left


def combined(demands: Iterable[StepUp]) -> StepUp | None:
    """One sign-in that meets all of them; None where no sign-in can."""
    max_age: float | None = None
    acr: tuple[str, ...] = ()
    amr: set[str] = set()
    for demand in demands:
        if demand.max_age is not None:
            max_age = demand.max_age if max_age is None else min(max_age, demand.max_age)
        if demand.acr:
            acr = tuple(level for level in acr if level in demand.acr) if acr else demand.acr
            if not acr:
                return None
        amr |= set(demand.amr)
    return StepUp(max_age=max_age, acr=acr, amr=tuple(sorted(amr)))
