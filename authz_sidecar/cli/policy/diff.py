"""`authz-sidecar policy diff`: replays logged requests and prints which verdicts a new
configuration changes."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.cli.explain_text import adapt_to_stream, format_value
from authz_sidecar.cli.load_routes import load_compiled_routes
from authz_sidecar.cli.options import add_command
from authz_sidecar.errors import StartupError
from authz_sidecar.routes.replay import (
    IncompleteLogLineError,
    LoggedCheck,
    NotACheckLineError,
    parse_log_line,
    replay,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.routes import RouteIndex


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "diff", "replay the requests of a log against an old and a new configuration"
    )
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument(
        "--requests",
        type=Path,
        required=True,
        metavar="LOG",
        help="the log of `serve` in JSON, or `-` for standard input",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the changed verdicts; return 1 if there are any, 2 if no line of the log can be
    replayed, else 0. Raises `ConfigError` and `StartupError`."""
    old, new = load_compiled_routes(arguments.old).index, load_compiled_routes(arguments.new).index
    report = _DiffReport()
    schemes = _schemes(old, new)
    for line in _read_lines(arguments.requests):
        report.add(line, old, new, schemes)
    for text in report.lines():
        print(adapt_to_stream(text, sys.stdout))
    if not report.replayed and (report.missing or report.other_lines):
        print(f"no line of `{arguments.requests}` could be replayed", file=sys.stderr)
        return 2
    return 1 if report.changes else 0


class _VerdictChange(NamedTuple):
    route: str
    verdicts: str
    request: str
    identity: str


@dataclass(slots=True)
class _DiffReport:
    changes: Counter[_VerdictChange] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    other_lines: int = 0

    def add(
        self, line: bytes, old: RouteIndex, new: RouteIndex, schemes: Mapping[str, str]
    ) -> None:
        try:
            logged_check = parse_log_line(json.loads(line), scheme_of=schemes)
        except IncompleteLogLineError as error:
            self.missing[str(error)] += 1
            return
        except (NotACheckLineError, ValueError, RecursionError):
            self.other_lines += 1
            return
        before, after = replay(old, logged_check), replay(new, logged_check)
        if before.verdict is None or after.verdict is None:
            self.missing[" and ".join(sorted(before.missing_fields | after.missing_fields))] += 1
            return
        self.replayed += 1
        if before.verdict is not after.verdict:
            routes = dict.fromkeys(result.route or "no route" for result in (before, after))
            verdicts = f"{before.verdict} → {after.verdict}"
            self.changes[
                _VerdictChange(" → ".join(routes), verdicts, *_describe_check(logged_check))
            ] += 1

    def lines(self) -> Iterator[str]:
        widths = [
            max((len(change[column]) for change in self.changes), default=0) for column in (1, 2, 3)
        ]
        route = None
        for change, count in sorted(self.changes.items()):
            if change.route != route:
                route = change.route
                yield route
            cells = (f"{cell:<{width}}" for cell, width in zip(change[1:], widths, strict=True))
            yield f"  {'  '.join(cells)}  {count}x"
        changed = sum(self.changes.values())
        yield f"{pluralize(self.replayed, 'request')} replayed, {changed} changed"
        for fields, count in sorted(self.missing.items()):
            yield f"{pluralize(count, 'request')} could not be replayed: the log lacks {fields}"
        if self.other_lines:
            yield f"{pluralize(self.other_lines, 'other line')} skipped"


def _describe_check(logged_check: LoggedCheck) -> tuple[str, str]:
    request, identity = logged_check.request, logged_check.identity
    name = "nobody" if identity is None else identity.email or identity.subject
    return f"{format_value(request.method)} {format_value(request.url)}", format_value(name)


def _schemes(*indexes: RouteIndex) -> dict[str, str]:
    """The scheme of each host, which logs lack: `http` only where every route of the host has
    it."""
    origins = [origin for index in indexes for origin in index.origins]
    schemes = {origin.authority: origin.scheme for origin in origins}
    return schemes | {origin.authority: "https" for origin in origins if origin.scheme == "https"}


def _read_lines(path: Path) -> Iterable[bytes]:
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"cannot read `{path}`: {reason}") from None
