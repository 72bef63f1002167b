"""Step-up authentication: what a policy requires of a sign-in, and what a given sign-in lacks.

Pure. Must not know which rule requires it, or how a provider is asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_STEP_UP_REQUEST_BYTES = 1024
"""Bytes of the method and path that a step-up is for; only the URL of the page stands for a longer
one."""


class AuthenticationContext(Protocol):
    """When and how a user signed in."""

    @property
    def authenticated_at(self) -> float | None:
        """Unix seconds of the sign-in (`auth_time`); None when unknown."""

    @property
    def acr(self) -> str | None:
        """The authentication context class reference (OpenID Connect Core, 2); None when unknown."""

    @property
    def amr(self) -> tuple[str, ...]:
        """The authentication methods (RFC 8176); empty when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRequirement:
    """What a sign-in has to meet (OpenID Connect Core, 2). None and empty fields require nothing.

    - `max_age`: seconds since the sign-in, exclusive.
    - `acr`: the accepted levels in order of preference; one of them is enough.
    - `amr`: the methods, all of them required.
    """

    max_age: float | None = None
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()

    def unmet_by(
        self, context: AuthenticationContext, *, now: float
    ) -> AuthenticationRequirement | None:
        """Returns the part of this requirement that a sign-in does not meet; None when it meets all
        of it."""
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
    """Returns one requirement that covers all of them; None when no sign-in can meet them together."""
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
