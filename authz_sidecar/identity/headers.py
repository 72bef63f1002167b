"""Identity headers of an allowed request, and the header names that a client must not send.

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
    """The part of an identity that a header of a preset carries."""

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
    """Whether the headers of a preset include the assertion."""
    return IdentityField.ASSERTION in PRESETS[preset].values()


def managed_header_names(
    preset: str, claims: Mapping[str, str], template_headers: Iterable[str] = ()
) -> tuple[str, ...]:
    """The names of all headers that this service may set, each once, in a fixed order. A client's
    header of such a name, or of an alias of it, must never reach an application.

    `claims`: claim names by header name.
    `template_headers`: the headers that templates of any route set. They are managed on every
        host, because the application of another host may trust the same name.
    """
    by_lower_name: dict[str, str] = {}
    for name in (*PRESETS[preset], *claims, *template_headers):
        by_lower_name.setdefault(name.lower(), name)
    return tuple(by_lower_name.values())


def protected_names(managed: Iterable[str], *, certificate: str | None) -> ProtectedNames:
    """The header names that no client may send: the managed ones, and the one in which the proxy
    forwards the client certificate, if it does."""
    return ProtectedNames((*managed, *(() if certificate is None else (certificate,))))


def template_header_names(routes: Iterable[Route]) -> tuple[str, ...]:
    """The names of the headers that the templates of any route set, each once."""
    return tuple(dict.fromkeys(name for route in routes for name, _ in route.set_request_headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """Renders the identity headers of one configuration.

    `preset`: the name of a preset in `PRESETS`.
    `claims`: claim names by header name; an entry replaces the preset's header of the same name.
    `group_filter`: selects the groups that a host receives.
    `assertion_for`: returns the signed assertion.
    `templates`: renders header templates of routes; None when there are none.
    `template_headers`: the names of all headers that templates set.
    """

    preset: str
    claims: Mapping[str, str]
    group_filter: Callable[[Identity, Origin], tuple[str, ...]]
    assertion_for: Callable[[Session, Origin], str]
    templates: TemplateRenderer | None = None
    template_headers: tuple[str, ...] = ()
    _names_and_aliases: tuple[str, ...] = field(init=False)
    _encoders: tuple[tuple[str, Callable[[Session, Origin], str]], ...] = field(init=False)

    def __post_init__(self) -> None:
        # The same for every request, so computed once.
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
        """The names of all headers that this service may set, as `managed_header_names` returns
        them."""
        return managed_header_names(self.preset, self.claims, self.template_headers)

    def request_headers(
        self, request: CheckRequest, session: Session | None, templates: HeaderTemplates
    ) -> tuple[tuple[str, str], ...]:
        """All headers to add to the request: names in lower case, each once, no value empty. A
        header template of the route replaces the identity header of the same name."""
        headers = () if session is None else self.render(session, request.origin)
        if not templates or self.templates is None:
            return headers
        by_name = dict(headers) | self.templates.render(templates, request, session)
        return tuple((name, value) for name, value in by_name.items() if value)

    def render(self, session: Session, origin: Origin) -> tuple[tuple[str, str], ...]:
        """The identity headers of a session on a host: names in lower case, each once, no value
        empty."""
        headers = [(name, encode(session, origin)) for name, encode in self._encoders]
        return tuple([header for header in headers if header[1]])

    def headers_to_remove(self, rendered: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        """The managed names that were not rendered, and the aliases of all managed names, in lower
        case."""
        set_names = {name for name, _ in rendered}
        return tuple([name for name in self._names_and_aliases if name not in set_names])

    def _encoder_of(self, identity_field: IdentityField) -> Callable[[Session, Origin], str]:
        # The closures hold the filter alone: one that held `self` would be a reference cycle.
        group_filter = self.group_filter
        match identity_field:
            case IdentityField.USER:
                return lambda session, _: encode_field_value(session.identity.subject)
            case IdentityField.EMAIL:
                return lambda session, _: encode_field_value(session.identity.email or "")
            case IdentityField.GROUPS:
                return lambda session, origin: encode_list_value(
                    group_filter(session.identity, origin)
                )
            case IdentityField.NAME:
                return lambda session, _: encode_field_value(session.identity.name or "")
            case IdentityField.ASSERTION:
                return self.assertion_for


def _claim_encoder(claim: str) -> Callable[[Session, Origin], str]:
    return lambda session, _: encode_claim(session.identity.claims.get(claim))


def encode_claim(claim: object) -> str:
    """A claim as header value; empty for an object and for an absent claim."""
    if isinstance(claim, list | tuple):
        return encode_list_value(map(claim_to_text, claim))
    return encode_field_value(claim_to_text(claim))


def claim_to_text(claim: object) -> str:
    """A claim as text, not encoded for a header yet: lists are joined by commas, objects are
    empty."""
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
