"""Header names in every spelling that a server might take for the same one."""

from __future__ import annotations

SEPARATORS = "!#$%&'*+.^_`|~"
"""The characters of a token (RFC 9110 section 5.6.2) that are no letter, digit or hyphen."""


def respelled(name: str, separator: str) -> tuple[str, ...]:
    """The name with one of its hyphens replaced, and with all of them."""
    places = [place for place, char in enumerate(name) if char == "-"]
    single = (f"{name[:place]}{separator}{name[place + 1 :]}" for place in places)
    return tuple(dict.fromkeys((*single, name.replace("-", separator)))) if places else ()
