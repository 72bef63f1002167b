"""Header names as applications may read them: which names of a request belong to a header that a
client must not bring, without being spelled like it.

CGI, WSGI, PHP and their likes make one variable of every spelling: `HTTP_X_AUTH_USER` is `X-Auth-User`,
`X_Auth_User` and `X.Auth.User` (RFC 3875 section 4.1.18; lighttpd and others replace every byte that
is no letter and no digit). What a proxy removes by its exact name comes back in another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.core.untrusted_headers import UNTRUSTED_FAMILIES

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

_NOT_CANONICAL = re.compile(r"[^a-z0-9-]")
_PREFIXES = tuple(prefix.lower() for family in UNTRUSTED_FAMILIES for prefix in family.prefixes)


def canonical_name(name: str) -> str:
    """The name in lower case with a hyphen for every byte outside `[a-z0-9]`. Names that a server
    could take for each other have the same one."""
    return _NOT_CANONICAL.sub("-", name.lower())


@dataclass(frozen=True, slots=True)
class ProtectedNames:
    """Judges header names against those that no client may bring: `managed`, which this service sets
    or reads, and all of `untrusted_headers`. `managed` are of letters, digits and hyphens."""

    managed: tuple[str, ...] = ()
    _canonical: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        untrusted = (name for family in UNTRUSTED_FAMILIES for name in family.names)
        names = frozenset(name.lower() for name in (*self.managed, *untrusted))
        object.__setattr__(self, "_canonical", names)

    def is_ambiguous(self, name: str) -> bool:
        """Whether a server could take the header for a protected one of another name."""
        lowercase = name.lower()
        canonical = _NOT_CANONICAL.sub("-", lowercase)
        return canonical != lowercase and (
            canonical in self._canonical or canonical.startswith(_PREFIXES)
        )

    def find_ambiguous(self, headers: Headers) -> str | None:
        """The name of the first such header; None where there is none."""
        return next((name for name, _ in headers if self.is_ambiguous(name)), None)
