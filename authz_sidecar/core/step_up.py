"""How somebody has to have signed in, and what of it is missing.

Pure. Knows neither who asks for it nor how a provider is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_STEP_UP_REQUEST_BYTES = 1024
"""Bytes of the method and path that a step-up is for; a longer one is told by its page alone."""


class AuthenticationContext(Protocol):
    """How somebody signed in, and when: Unix seconds, None where nobody says."""

    @property
    def authenticated_at(self) -> float | None: ...
    @property
    def acr(self) -> str | None: ...
    @property
    def amr(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRequirement:
    """At most `max_age` seconds ago, at one of the levels `acr` (in order of preference), by all
    the methods `amr` (OpenID Connect Core, 2). Empty and None ask for nothing."""

    max_age: float | None = None
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()

    def unmet_by(
        self, context: AuthenticationContext, *, now: float
    ) -> AuthenticationRequirement | None:
        """What of this a sign-in does not meet; None when it meets all of it."""
        authenticated_at = context.authenticated_at
        is_too_old = self.max_age is not None and (
            authenticated_at is None or now >= authenticated_at + self.max_age
        )
        unmet = AuthenticationRequirement(
            max_age=self.max_age if is_too_old else None,
            acr=() if context.acr in self.acr else self.acr,
            amr=() if set(self.amr) <= set(context.amr) else self.amr,
        )
        return None if unmet == AuthenticationRequirement() else unmet


def merge_requirements(
    requirements: Iterable[AuthenticationRequirement],
) -> AuthenticationRequirement | None:
    """One sign-in that meets all of them; None where no sign-in can."""
    max_age: float | None = None
    acr: tuple[str, ...] = ()
    amr: set[str] = set()
    for requirement in requirements:
        if requirement.max_age is not None:
            max_age = requirement.max_age if max_age is None else min(max_age, requirement.max_age)
        if requirement.acr:
            acr = (
                tuple(level for level in acr if level in requirement.acr)
                if acr
                else requirement.acr
            )
            if not acr:
                return None
        amr |= set(requirement.amr)
    return AuthenticationRequirement(max_age=max_age, acr=acr, amr=tuple(sorted(amr)))
