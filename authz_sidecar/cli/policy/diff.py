"""`authz-sidecar policy diff`: what changes for the requests of a log when the rules do."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.cli.explain_text import for_stream, shown
from authz_sidecar.cli.load_routes import load_rules
from authz_sidecar.errors import StartError
from authz_sidecar.routes.replay import LackingError, NotACheckError, Recorded, read_line, replay

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.routes import RouteIndex


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "diff", help="replay the requests of a log against an old and a new configuration"
    )
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument(
        "--requests",
        type=Path,
        required=True,
        metavar="LOG",
        help="lines of JSON as `serve` writes them, `-` for standard input",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 where any verdict changes, 2 where a log tells nothing about that."""
    old, new = load_rules(arguments.old).index, load_rules(arguments.new).index
    report = _Report()
    schemes = _schemes(old, new)
    for line in _lines(arguments.requests):
        report.take(line, old, new, schemes)
    for text in report.lines():
        print(for_stream(text, sys.stdout))
    if not report.replayed and (report.lacking or report.others):
        print(f"nothing in `{arguments.requests}` could be replayed", file=sys.stderr)
        return 2
    return 1 if report.changes else 0


class _Change(NamedTuple):
    route: str
    verdicts: str
    request: str
    who: str


@dataclass(slots=True)
class _Report:
    changes: Counter[_Change] = field(default_factory=Counter)
    lacking: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    others: int = 0

    def take(
        self, line: bytes, old: RouteIndex, new: RouteIndex, schemes: Mapping[str, str]
    ) -> None:
        try:
            recorded = read_line(json.loads(line), scheme_of=schemes)
        except LackingError as lacking:
            self.lacking[str(lacking)] += 1
            return
        except (NotACheckError, ValueError, RecursionError):
            self.others += 1
            return
        before, after = replay(old, recorded), replay(new, recorded)
        if before.verdict is None or after.verdict is None:
            self.lacking[" and ".join(sorted(before.lacking | after.lacking))] += 1
            return
        self.replayed += 1
        if before.verdict is not after.verdict:
            routes = dict.fromkeys(each.route or "no route" for each in (before, after))
            verdicts = f"{before.verdict} → {after.verdict}"
            self.changes[_Change(" → ".join(routes), verdicts, *_described(recorded))] += 1

    def lines(self) -> Iterator[str]:
        widths = [max((len(change[at]) for change in self.changes), default=0) for at in (1, 2, 3)]
        route = None
        for change, times in sorted(self.changes.items()):
            if change.route != route:
                route = change.route
                yield route
            cells = (f"{cell:<{width}}" for cell, width in zip(change[1:], widths, strict=True))
            yield f"  {'  '.join(cells)}  {times}x"
        changed = sum(self.changes.values())
        yield f"{count(self.replayed, 'request')} replayed, {changed} changed"
        for what, times in sorted(self.lacking.items()):
            yield f"{count(times, 'request')} could not be replayed: the log lacks {what}"
        if self.others:
            yield f"{count(self.others, 'line')} of other kinds"


def _described(recorded: Recorded) -> tuple[str, str]:
    request, who = recorded.request, recorded.identity
    name = "nobody" if who is None else who.email or who.subject
    return f"{shown(request.method)} {shown(request.url)}", shown(name)


def _schemes(*indexes: RouteIndex) -> dict[str, str]:
    """Logs name hosts without a scheme; where routes know one as `http` alone, it is that."""
    origins = [origin for index in indexes for origin in index.origins]
    schemes = {origin.authority: origin.scheme for origin in origins}
    return schemes | {it.authority: "https" for it in origins if it.scheme == "https"}


def _lines(path: Path) -> Iterable[bytes]:
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot read `{path}`: {reason}") from None
