"""The lint codes: how severe each is, its message, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Severity(StrEnum):
    """How severe a lint code is."""

    WARNING = "warning"
    HINT = "hint"
    """May be intended: never a failure, not even where warnings are."""


@dataclass(frozen=True, slots=True)
class LintCode:
    """A lint rule. `fix` says in words what to write instead."""

    severity: Severity
    message: str
    fix: str


_WARNING, _HINT = Severity.WARNING, Severity.HINT

CODES: Mapping[str, LintCode] = MappingProxyType(
    {
        "AZ101": LintCode(
            _WARNING,
            "several operators of one rule are alternatives: any of them is enough",
            "write one operator per rule, with all conditions that must hold together in one `and`",
        ),
        "AZ102": LintCode(
            _HINT,
            "`nor` holds as soon as one of its criteria does not",
            "write `not` where none of them may hold",
        ),
        "AZ103": LintCode(
            _WARNING,
            "a list is compared as one value and never matches",
            "write `in: […]` for a string, or one criterion for each value in an `or`",
        ),
        "AZ104": LintCode(
            _HINT,
            "`is` matches only a list of exactly this one value",
            "write `has` where the list may hold other values too",
        ),
        "AZ105": LintCode(
            _WARNING,
            "`reject` never holds, so this rule never denies",
            "write `accept` in a `deny` to deny every request",
        ),
        "AZ106": LintCode(
            _WARNING,
            "is empty and never applies, not even an empty `and`",
            "remove it, or write `accept: true`",
        ),
        "AZ107": LintCode(
            _WARNING,
            "a matcher without an operator matches every value",
            "write `authenticated_user: true`, or compare with something",
        ),
        "AZ108": LintCode(
            _WARNING,
            "one of several negations in an `or` always holds",
            "put them in an `and`, or list the values in one `not_in`",
        ),
        "AZ109": LintCode(
            _HINT,
            "compares characters, not segments: `/admin` matches `/administrator` too",
            "end the prefix with `/`, and compare the bare path with `is`",
        ),
        "AZ110": LintCode(
            _WARNING,
            "the compared value is always text, and this is not, so it never matches",
            "put it in quotes",
        ),
        "AZ111": LintCode(
            _WARNING,
            "its value is ignored, also `false`",
            "write `true`, or leave the criterion out",
        ),
        "AZ112": LintCode(
            _WARNING,
            "compares characters: `example.com` matches `notexample.com` too",
            "begin with `@`, or with `.` for what is below a domain, or compare `domain` with `is`",
        ),
        "AZ113": LintCode(
            _WARNING,
            "the compared value never looks like this: methods are upper case, paths begin with `/` and"
            " are decoded, domains have no `@`",
            "write it in the form that is compared",
        ),
        "AZ201": LintCode(
            _WARNING,
            "no request reaches this route",
            "remove it, or give it a host or paths of its own",
        ),
        "AZ202": LintCode(
            _WARNING,
            "this rule needs a signed-in user, so the public route requires a sign-in",
            "deny by something other than identity, or do not make the route public",
        ),
        "AZ203": LintCode(
            _WARNING,
            "the route denies every request: none of its rules can ever allow one",
            "add a rule that allows",
        ),
        "AZ204": LintCode(
            _WARNING,
            "the route is public and allows every request already",
            "remove it, or remove `allow_public_unauthenticated_access`",
        ),
        "AZ205": LintCode(
            _WARNING,
            "does not check trust: a certificate of any authority can match",
            "add `deny: {or: [{invalid_client_certificate: true}]}` to the route",
        ),
        "AZ301": LintCode(
            _HINT,
            "HAProxy before 3.2 cannot drop the trailers of a request, in which a client writes headers",
            "keep the lines of `deploy/haproxy/haproxy.cfg` that refuse bodies without a length, or use"
            " HAProxy 3.2",
        ),
    }
)

_COMMENT = re.compile(r"#\s*lint:\s*ignore\[([A-Z0-9,\s]*)\]")

SourceLines = Callable[[str], Sequence[str]]
"""Returns the lines of a file by its name."""


def is_ignored(code: str, *, file: str, line: int, lines: SourceLines) -> bool:
    """Whether a comment `# lint: ignore[AZ101]` on the line, or alone on the line above it,
    suppresses this code."""
    text = lines(file)
    same_line = text[line - 1] if 0 < line <= len(text) else ""
    above = text[line - 2] if 1 < line <= len(text) + 1 else ""
    comments = [same_line, above if above.lstrip().startswith("#") else ""]
    return any(
        code in {ignored_code.strip() for ignored_code in match[1].split(",")}
        for comment in comments
        for match in _COMMENT.finditer(comment)
    )
