"""The headers that an application is told with an allowed request, and the names of those that
must not come from a client.

Decides names, values and their encoding (`core/http_headers.py`). Must not know any proxy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from authz_sidecar.core.header_names import ProtectedNames
from authz_sidecar.core.http_headers import aliases, field_value, list_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_sidecar.core.types import CheckRequest, Identity, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.identity.templates import Templates
    from authz_sidecar.routes.model import HeaderTemplates, Route


class Meaning(StrEnum):
    USER = "user"
    EMAIL = "email"
    GROUPS = "groups"
    NAME = "name"
    ASSERTION = "assertion"


PRESETS: Mapping[str, Mapping[str, Meaning]] = {
    "default": {
        "X-Auth-User": Meaning.USER,
        "X-Auth-Email": Meaning.EMAIL,
        "X-Auth-Groups": Meaning.GROUPS,
        "X-Auth-Name": Meaning.NAME,
        "X-Auth-Assertion": Meaning.ASSERTION,
    },
    "pomerium": {
        "X-Pomerium-Claim-User": Meaning.USER,
        "X-Pomerium-Claim-Email": Meaning.EMAIL,
        "X-Pomerium-Claim-Groups": Meaning.GROUPS,
        "X-Pomerium-Claim-Name": Meaning.NAME,
        "X-Pomerium-Jwt-Assertion": Meaning.ASSERTION,
    },
    "oauth2-proxy": {
        "X-Auth-Request-User": Meaning.USER,
        "X-Auth-Request-Email": Meaning.EMAIL,
        "X-Auth-Request-Groups": Meaning.GROUPS,
        "X-Auth-Request-Preferred-Username": Meaning.NAME,
    },
    "authelia": {
        "Remote-User": Meaning.USER,
        "Remote-Email": Meaning.EMAIL,
        "Remote-Groups": Meaning.GROUPS,
        "Remote-Name": Meaning.NAME,
    },
}


def signs(preset: str) -> bool:
    """Whether an assertion is among the headers of a preset."""
    return Meaning.ASSERTION in PRESETS[preset].values()


def managed_names(
    preset: str, claims: Mapping[str, str], templated: Iterable[str] = ()
) -> tuple[str, ...]:
    """Every header this service may set, in a fixed order. What a client sends under one of these
    names, or an alias of it, must never reach an application. `templated` are those that routes
    set, on whichever host: another host's application may believe the same name."""
    found: dict[str, str] = {}
    for name in (*PRESETS[preset], *claims, *templated):
        found.setdefault(name.lower(), name)
    return tuple(found.values())


def protected_names(managed: Iterable[str], *, certificate: str | None) -> ProtectedNames:
    """The headers that no client may bring: those that this service may set (`managed_names`), and
    `certificate`, the one in which the proxy forwards the client's, if it does."""
    return ProtectedNames((*managed, *(() if certificate is None else (certificate,))))


def templated_names(routes: Iterable[Route]) -> tuple[str, ...]:
    """The headers that the templates of any route set."""
    return tuple(dict.fromkeys(name for route in routes for name, _ in route.set_request_headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """`claims` maps header names to claim names; a header of the preset may be given another
    meaning by it. `groups` chooses the groups that the host hears of; `assertion` signs.
    `templates` fills in what routes want to be told besides, `templated` names all of that."""

    preset: str
    claims: Mapping[str, str]
    groups: Callable[[Identity, Origin], tuple[str, ...]]
    assertion: Callable[[Session, Origin], str]
    templates: Templates | None = None
    templated: tuple[str, ...] = ()
    _every: tuple[str, ...] = field(init=False)
    _told: tuple[tuple[str, Callable[[Session, Origin], str]], ...] = field(init=False)

    def __post_init__(self) -> None:
        # All routes' templates count on every host: worked out once, not for each answer.
        names = [name.lower() for name in self.managed]
        every = dict.fromkeys((*names, *(alias for name in names for alias in aliases(name))))
        object.__setattr__(self, "_every", tuple(every))
        told = {name.lower(): self._meant(what) for name, what in PRESETS[self.preset].items()}
        told |= {name.lower(): _claimed(claim) for name, claim in self.claims.items()}
        object.__setattr__(self, "_told", tuple(told.items()))

    @property
    def managed(self) -> tuple[str, ...]:
        return managed_names(self.preset, self.claims, self.templated)

    def passed(
        self, request: CheckRequest, session: Session | None, templates: HeaderTemplates
    ) -> tuple[tuple[str, str], ...]:
        """All that the application is told: each once, in lower case, none empty. What a route
        says itself stands before what is said everywhere."""
        found = () if session is None else self.render(session, request.origin)
        if not templates or self.templates is None:
            return found
        named = dict(found) | self.templates.render(templates, request, session)
        return tuple((name, value) for name, value in named.items() if value)

    def render(self, session: Session, origin: Origin) -> tuple[tuple[str, str], ...]:
        """The headers to set: each once, in lower case, none empty."""
        found = [(name, tell(session, origin)) for name, tell in self._told]
        return tuple([told for told in found if told[1]])

    def cleared(self, rendered: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        """The managed names that were not set, and every alias of all of them."""
        given = {name for name, _ in rendered}
        return tuple([name for name in self._every if name not in given])

    def _meant(self, meaning: Meaning) -> Callable[[Session, Origin], str]:
        groups = self.groups  # a function that held this object would keep all that it knows alive
        match meaning:
            case Meaning.USER:
                return lambda session, _: field_value(session.identity.subject)
            case Meaning.EMAIL:
                return lambda session, _: field_value(session.identity.email or "")
            case Meaning.GROUPS:
                return lambda session, origin: list_value(groups(session.identity, origin))
            case Meaning.NAME:
                return lambda session, _: field_value(session.identity.name or "")
            case Meaning.ASSERTION:
                return self.assertion


def _claimed(claim: str) -> Callable[[Session, Origin], str]:
    return lambda session, _: claim_value(session.identity.claims.get(claim))


def claim_value(claim: object) -> str:
    """A claim as header value; structures and absent claims give nothing."""
    if isinstance(claim, list | tuple):
        return list_value(map(claim_text, claim))
    return field_value(claim_text(claim))


def claim_text(claim: object) -> str:
    """A claim as text, not yet fit for a header; lists are joined by commas."""
    match claim:
        case str():
            return claim
        case bool():
            return "true" if claim else "false"
        case int() | float():
            return str(claim)
        case list() | tuple():
            return ",".join(filter(None, map(claim_text, claim)))
        case _:
            return ""
