"""Header names as applications may read them: which names of a request an application can take for
a header that no client may send.

CGI, WSGI, PHP and others map several spellings to one variable: `HTTP_X_AUTH_USER` is
`X-Auth-User`, `X_Auth_User` and `X.Auth.User` (RFC 3875 section 4.1.18; lighttpd and others replace
every byte that is no letter and no digit). A header that a proxy removes by its exact name would
come back in another spelling.
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
    """Returns the name in lower case with a hyphen for every byte outside `[a-z0-9]`.

    Two names that a server could take for each other have the same canonical name.
    """
    return _NOT_CANONICAL.sub("-", name.lower())


@dataclass(frozen=True, slots=True)
class ProtectedNames:
    """The header names that no client may send.

    - `managed`: the names that this service sets or reads, made of letters, digits and hyphens.
    - All names and prefixes of `untrusted_headers` are protected too.
    """

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
        """Returns the name of the first ambiguous header, or None."""
        return next((name for name, _ in headers if self.is_ambiguous(name)), None)
