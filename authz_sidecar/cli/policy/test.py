"""`authz-sidecar policy test`: runs the policy tests beside a configuration."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.explain_text import adapt_to_stream, render
from authz_sidecar.cli.load_routes import LoadedRoutes, load_compiled_routes
from authz_sidecar.cli.options import add_command, add_config_option, config_path
from authz_sidecar.cli.policy.junit import to_junit_xml
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.errors import ConfigError, StartupError
from authz_sidecar.policy.test_cases import PolicyTestCase, parse_cases
from authz_sidecar.routes.explain_json import to_json
from authz_sidecar.routes.test_runner import CaseResult, decisive_rules, rules_of, run_case
from authz_sidecar.routes_from_config import available_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.errors import Problem

_SUFFIXES = (".test.yaml", ".test.yml")


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "test", "run the tests of a configuration's policies")
    add_config_option(parser)
    parser.add_argument(
        "tests",
        nargs="*",
        type=Path,
        metavar="TESTS",
        help="test files (default: every *.test.yaml beside the configuration)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument(
        "--coverage", action="store_true", help="list the rules that decided no test"
    )
    parser.add_argument(
        "--min-coverage",
        type=_parse_percent,
        metavar="PERCENT",
        help="fail if a smaller share of the rules decides any test",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the tests and print their results; return 1 if one failed or coverage is too low, else 0.
    Raises `ConfigError` and `StartupError`."""
    path = config_path(arguments)
    rules = load_compiled_routes(path)
    cases = _read_cases(arguments.tests or _find_test_files(path))
    facts, now = available_attributes(rules.config), time.time()
    results = [
        run_case(
            rules.index, case, names=rules.protected_names, available_attributes=facts, now=now
        )
        for case in cases
    ]
    for result in results:
        _print(_format_result(result, rules))
    if arguments.junit is not None:
        _write(arguments.junit, to_junit_xml(results))
    failed = sum(not result.passed for result in results)
    _print(f"{len(results) - failed} passed, {failed} failed")
    covered = _check_coverage(arguments, rules, results)
    return 0 if covered and not failed else 1


def _format_result(result: CaseResult, rules: LoadedRoutes) -> str:
    file, line, _ = result.case.location
    if result.passed:
        return f"✓ {result.case.name}"
    lines = [f"✗ {result.case.name}  ({file}:{line})"]
    width = max(len(difference.expected) for difference in result.differences)
    lines += [
        f"    {difference.what:<8} expected {difference.expected:<{width}}  found {difference.found}"
        for difference in result.differences
    ]
    explanation = to_json(
        result.explained,
        source_map=rules.config.source_map,
        base_path=rules.config.server.base_path,
    )
    lines += [
        f"    {text_line}".rstrip() for text_line in ("", *render(explanation).splitlines(), "")
    ]
    return "\n".join(lines)


def _check_coverage(
    arguments: argparse.Namespace, rules: LoadedRoutes, results: Sequence[CaseResult]
) -> bool:
    min_percent: float | None = arguments.min_coverage
    if not arguments.coverage and min_percent is None:
        return True
    all_rules, decisive = rules_of(rules.index), decisive_rules(results)
    unused = [rule for rule in all_rules if rule not in decisive]
    percent = 100.0 if not all_rules else 100 * (len(all_rules) - len(unused)) / len(all_rules)
    for rule in unused:
        _print(str(rules.config.source_map.problem("was never decisive", *rule)))
    _print(f"coverage {percent:.0f} %: {len(all_rules) - len(unused)} of {len(all_rules)} rules")
    if min_percent is not None and percent < min_percent:
        _print(f"✗ less than {min_percent:g} %")
        return False
    return True


def _print(text: str) -> None:
    print(adapt_to_stream(text, sys.stdout))


def _read_cases(files: Iterable[Path]) -> list[PolicyTestCase]:
    cases: list[PolicyTestCase] = []
    problems: list[Problem] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            raise StartupError(f"cannot read `{file}`: {(reason or '').lower()}") from None
        document = parse_yaml(text, file=str(file))
        problems += document.problems
        if not document.unreadable_paths:
            cases += parse_cases(document.data, source_map=document.source_map, problems=problems)
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    return cases


def _find_test_files(path: Path) -> list[Path]:
    directory = path if path.is_dir() else path.parent
    files = sorted(entry for entry in directory.iterdir() if entry.name.endswith(_SUFFIXES))
    if not files:
        raise StartupError(f"no `*.test.yaml` beside `{path}`, and no file of tests was named")
    return files


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"cannot write `{path}`: {reason}") from None


def _parse_percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"`{text}` is not a percentage")
    return percent
