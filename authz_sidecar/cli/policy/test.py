"""`authz-sidecar policy test`: runs the tests that stand beside a configuration."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.explain_text import drawn, for_stream
from authz_sidecar.cli.load_routes import Rules, load_rules
from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.cli.policy.junit import junit
from authz_sidecar.config.yaml import read_text
from authz_sidecar.errors import ConfigError, StartError
from authz_sidecar.policy.test_cases import Case, read_cases
from authz_sidecar.routes.explain_json import tell
from authz_sidecar.routes.test_runner import Result, decisive_rules, rules_of, run_case
from authz_sidecar.routes_from_config import delivered_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.errors import Problem

_SUFFIXES = (".test.yaml", ".test.yml")


def add(commands: Commands) -> None:
    parser = commands.add_parser("test", help="run the tests of a configuration's policies")
    add_config(parser)
    parser.add_argument(
        "tests",
        nargs="*",
        type=Path,
        metavar="TESTS",
        help="files of cases (default: every *.test.yaml beside the configuration)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument(
        "--coverage", action="store_true", help="list the rules that no case depends on"
    )
    parser.add_argument(
        "--min-coverage",
        type=_percent,
        metavar="PERCENT",
        help="fail where fewer of the rules are ever decisive",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path = config_path(arguments)
    rules = load_rules(path)
    cases = _cases(arguments.tests or _beside(path))
    facts, now = delivered_facts(rules.config), time.time()
    results = [
        run_case(rules.index, case, names=rules.names, facts=facts, now=now) for case in cases
    ]
    for result in results:
        _say(_result(result, rules))
    if arguments.junit is not None:
        _write(arguments.junit, junit(results))
    failed = sum(not result.passed for result in results)
    _say(f"{len(results) - failed} passed, {failed} failed")
    covered = _coverage(arguments, rules, results)
    return 0 if covered and not failed else 1


def _result(result: Result, rules: Rules) -> str:
    file, line, _ = result.case.place
    if result.passed:
        return f"✓ {result.case.name}"
    lines = [f"✗ {result.case.name}  ({file}:{line})"]
    widest = max(len(it.expected) for it in result.differences)
    lines += [
        f"    {it.what:<8} expected {it.expected:<{widest}}  found {it.found}"
        for it in result.differences
    ]
    told = tell(
        result.explained,
        where=rules.config.positions,
        base_path=rules.config.server.base_path,
    )
    lines += [f"    {each}".rstrip() for each in ("", *drawn(told).splitlines(), "")]
    return "\n".join(lines)


def _coverage(arguments: argparse.Namespace, rules: Rules, results: Sequence[Result]) -> bool:
    wanted: float | None = arguments.min_coverage
    if not arguments.coverage and wanted is None:
        return True
    every, decisive = rules_of(rules.index), decisive_rules(results)
    unused = [rule for rule in every if rule not in decisive]
    percent = 100.0 if not every else 100 * (len(every) - len(unused)) / len(every)
    for rule in unused:
        _say(str(rules.config.positions.problem("was never decisive", *rule)))
    _say(f"coverage {percent:.0f} %: {len(every) - len(unused)} of {len(every)} rules")
    if wanted is not None and percent < wanted:
        _say(f"✗ less than {wanted:g} %")
        return False
    return True


def _say(text: str) -> None:
    print(for_stream(text, sys.stdout))


def _cases(files: Iterable[Path]) -> list[Case]:
    cases: list[Case] = []
    problems: list[Problem] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            raise StartError(f"cannot read `{file}`: {(reason or '').lower()}") from None
        document = read_text(text, file=str(file))
        problems += document.problems
        if not document.broken:
            cases += read_cases(document.data, where=document.positions, problems=problems)
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    return cases


def _beside(path: Path) -> list[Path]:
    directory = path if path.is_dir() else path.parent
    found = sorted(each for each in directory.iterdir() if each.name.endswith(_SUFFIXES))
    if not found:
        raise StartError(f"no `*.test.yaml` beside `{path}`, and no file of tests was named")
    return found


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot write `{path}`: {reason}") from None


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"`{text}` is not a percentage")
    return percent
