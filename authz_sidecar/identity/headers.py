"""The headers that an application is told with an allowed request, and the names of those that
must not come from a client.

Decides names, values and their encoding (`core/http_headers.py`). Must not know any proxy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from authz_sidecar.core.header_names import ProtectedNames
from authz_sidecar.core.http_headers import (
    encode_field_value,
    encode_list_value,
    header_name_aliases,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_sidecar.core.types import CheckRequest, Identity, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.identity.templates import TemplateRenderer
    from authz_sidecar.routes.model import HeaderTemplates, Route


class IdentityField(StrEnum):
    USER = "user"
    EMAIL = "email"
    GROUPS = "groups"
    NAME = "name"
    ASSERTION = "assertion"


PRESETS: Mapping[str, Mapping[str, IdentityField]] = {
    "default": {
        "X-Auth-User": IdentityField.USER,
        "X-Auth-Email": IdentityField.EMAIL,
        "X-Auth-Groups": IdentityField.GROUPS,
        "X-Auth-Name": IdentityField.NAME,
        "X-Auth-Assertion": IdentityField.ASSERTION,
    },
    "pomerium": {
        "X-Pomerium-Claim-User": IdentityField.USER,
        "X-Pomerium-Claim-Email": IdentityField.EMAIL,
        "X-Pomerium-Claim-Groups": IdentityField.GROUPS,
        "X-Pomerium-Claim-Name": IdentityField.NAME,
        "X-Pomerium-Jwt-Assertion": IdentityField.ASSERTION,
    },
    "oauth2-proxy": {
        "X-Auth-Request-User": IdentityField.USER,
        "X-Auth-Request-Email": IdentityField.EMAIL,
        "X-Auth-Request-Groups": IdentityField.GROUPS,
        "X-Auth-Request-Preferred-Username": IdentityField.NAME,
    },
    "authelia": {
        "Remote-User": IdentityField.USER,
        "Remote-Email": IdentityField.EMAIL,
        "Remote-Groups": IdentityField.GROUPS,
        "Remote-Name": IdentityField.NAME,
    },
}


def includes_assertion(preset: str) -> bool:
    """Whether an assertion is among the headers of a preset."""
    return IdentityField.ASSERTION in PRESETS[preset].values()


def managed_header_names(
    preset: str, claims: Mapping[str, str], template_headers: Iterable[str] = ()
) -> tuple[str, ...]:
    """Every header this service may set, in a fixed order. What a client sends under one of these
    names, or an alias of it, must never reach an application. `template_headers` are those that
    routes set, on whichever host: another host's application may believe the same name."""
    by_lower_name: dict[str, str] = {}
    for name in (*PRESETS[preset], *claims, *template_headers):
        by_lower_name.setdefault(name.lower(), name)
    return tuple(by_lower_name.values())


def protected_names(managed: Iterable[str], *, certificate: str | None) -> ProtectedNames:
    """The headers that no client may bring: those that this service may set
    (`managed_header_names`), and `certificate`, the one in which the proxy forwards the client's,
    if it does."""
    return ProtectedNames((*managed, *(() if certificate is None else (certificate,))))


def template_header_names(routes: Iterable[Route]) -> tuple[str, ...]:
    """The headers that the templates of any route set."""
    return tuple(dict.fromkeys(name for route in routes for name, _ in route.set_request_headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """`claims` maps header names to claim names; a header of the preset may be given another
    meaning by it. `group_filter` chooses the groups that the host hears of; `assertion_for` signs.
    `templates` fills in what routes want to be told besides, `template_headers` names all of
    that."""

    preset: str
    claims: Mapping[str, str]
    group_filter: Callable[[Identity, Origin], tuple[str, ...]]
    assertion_for: Callable[[Session, Origin], str]
    templates: TemplateRenderer | None = None
    template_headers: tuple[str, ...] = ()
    _names_and_aliases: tuple[str, ...] = field(init=False)
    _encoders: tuple[tuple[str, Callable[[Session, Origin], str]], ...] = field(init=False)

    def __post_init__(self) -> None:
        # All routes' templates count on every host: worked out once, not for each answer.
        names = [name.lower() for name in self.managed_names]
        names_and_aliases = dict.fromkeys(
            (*names, *(alias for name in names for alias in header_name_aliases(name)))
        )
        object.__setattr__(self, "_names_and_aliases", tuple(names_and_aliases))
        encoders = {
            name.lower(): self._encoder_of(identity_field)
            for name, identity_field in PRESETS[self.preset].items()
        }
        encoders |= {name.lower(): _claim_encoder(claim) for name, claim in self.claims.items()}
        object.__setattr__(self, "_encoders", tuple(encoders.items()))

    @property
    def managed_names(self) -> tuple[str, ...]:
        return managed_header_names(self.preset, self.claims, self.template_headers)

    def request_headers(
        self, request: CheckRequest, session: Session | None, templates: HeaderTemplates
    ) -> tuple[tuple[str, str], ...]:
        """All that the application is told: each once, in lower case, none empty. What a route
        says itself stands before what is said everywhere."""
        headers = () if session is None else self.render(session, request.origin)
        if not templates or self.templates is None:
            return headers
        by_name = dict(headers) | self.templates.render(templates, request, session)
        return tuple((name, value) for name, value in by_name.items() if value)

    def render(self, session: Session, origin: Origin) -> tuple[tuple[str, str], ...]:
        """The headers to set: each once, in lower case, none empty."""
        headers = [(name, encode(session, origin)) for name, encode in self._encoders]
        return tuple([header for header in headers if header[1]])

    def headers_to_remove(self, rendered: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        """The managed names that were not set, and every alias of all of them."""
        set_names = {name for name, _ in rendered}
        return tuple([name for name in self._names_and_aliases if name not in set_names])

    def _encoder_of(self, identity_field: IdentityField) -> Callable[[Session, Origin], str]:
        groups = (
            self.group_filter
        )  # a function that held this object would keep all that it knows alive
        match identity_field:
            case IdentityField.USER:
                return lambda session, _: encode_field_value(session.identity.subject)
            case IdentityField.EMAIL:
                return lambda session, _: encode_field_value(session.identity.email or "")
            case IdentityField.GROUPS:
                return lambda session, origin: encode_list_value(groups(session.identity, origin))
            case IdentityField.NAME:
                return lambda session, _: encode_field_value(session.identity.name or "")
            case IdentityField.ASSERTION:
                return self.assertion_for


def _claim_encoder(claim: str) -> Callable[[Session, Origin], str]:
    return lambda session, _: encode_claim(session.identity.claims.get(claim))


def encode_claim(claim: object) -> str:
    """A claim as header value; structures and absent claims give nothing."""
    if isinstance(claim, list | tuple):
        return encode_list_value(map(claim_to_text, claim))
    return encode_field_value(claim_to_text(claim))


def claim_to_text(claim: object) -> str:
    """A claim as text, not yet fit for a header; lists are joined by commas."""
    match claim:
        case str():
            return claim
        case bool():
            return "true" if claim else "false"
        case int() | float():
            return str(claim)
        case list() | tuple():
            return ",".join(filter(None, map(claim_to_text, claim)))
        case _:
            return ""
