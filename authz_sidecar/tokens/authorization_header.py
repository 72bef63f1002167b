"""The grammar of `Authorization`: a scheme and its value. Does not judge the credentials."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# RFC 9110 section 11.4: auth-scheme [ 1*SP ( token68 / #auth-param ) ]
_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +(.*))?", re.DOTALL)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The parsed header. `scheme` is in lower case (RFC 9110 section 11.1); `value` is the rest."""

    scheme: str
    value: str = field(repr=False)

    @property
    def token68(self) -> str | None:
        """The value if it is one token, the only form of RFC 6750 section 2.1; else None."""
        return self.value if _TOKEN68.fullmatch(self.value) else None


def parse_credentials(line: str) -> Credentials | None:
    """Parse the header; None when it has no scheme."""
    match = _CREDENTIALS.fullmatch(line)
    return None if match is None else Credentials(match[1].lower(), match[2] or "")
