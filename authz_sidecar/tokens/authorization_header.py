"""The grammar of `Authorization`: a scheme, and what is said under it.

Decides how the one line reads; whose credentials they are is up to the kinds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# RFC 9110 section 11.4: auth-scheme [ 1*SP ( token68 / #auth-param ) ]
_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +(.*))?", re.DOTALL)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class Presented:
    """`scheme` is in lower case (RFC 9110 section 11.1); `text` is the rest of the line."""

    scheme: str
    text: str = field(repr=False)

    @property
    def token68(self) -> str | None:
        """The text, if it is one token; RFC 6750 section 2.1 has nothing else."""
        return self.text if _TOKEN68.fullmatch(self.text) else None


def presented(line: str) -> Presented | None:
    """None where there is no scheme to read."""
    read = _CREDENTIALS.fullmatch(line)
    return None if read is None else Presented(read[1].lower(), read[2] or "")
