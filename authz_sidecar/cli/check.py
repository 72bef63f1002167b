"""`authz-sidecar check`: everything that is wrong with a configuration, and what is worth a word."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.config.checks.callbacks import unstated_callbacks
from authz_sidecar.config.checks.stores import STORES
from authz_sidecar.config.load import examine
from authz_sidecar.identity.assertion import signing_key_from_pem
from authz_sidecar.login.providers import client_key
from authz_sidecar.policy.lint import CODES, Severity, is_ignored
from authz_sidecar.routes.lint import Finding, lint_routes
from authz_sidecar.routes_from_config import ruleset
from authz_sidecar.sessions.store_url import parse_location

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.config.schema import Config, Secret
    from authz_sidecar.core.source_locations import Step
    from authz_sidecar.errors import Problem
    from authz_sidecar.routes import Built


def add(commands: Commands) -> None:
    parser = commands.add_parser("check", help="check a configuration and its policies")
    add_config(parser)
    parser.add_argument("--strict", action="store_true", help="fail where there are warnings")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path = config_path(arguments)
    examined = examine(path, env=os.environ)
    problems, warnings = set(examined.problems), set(examined.warnings)
    findings: list[Finding] = []
    built: Built | None = None
    unstated: Mapping[str, Problem] = {}
    if examined.partial is not None:
        built = ruleset(examined.partial)
        problems.update(built.problems)
        unstated = unstated_callbacks(examined.partial)
        problems.update(unstated.values())
        findings = _findings(examined.partial, built)
        problems.update(_signing_key_problems(examined.partial))
        problems.update(_client_key_problems(examined.partial))
        problems.update(_store_problems(examined.partial))
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    for line in _remarks(warnings, findings):
        print(line, file=sys.stderr)
    if problems:
        if built is not None and problems == {*built.problems, *unstated.values()}:
            for line in _served_anyway(built, unstated):
                print(line, file=sys.stderr)
        print(f"{path}: {_count(len(problems), 'problem')}", file=sys.stderr)
        return 2
    config = examined.config
    routes = 0 if config is None else len(config.routes)
    hints = sum(finding.severity is Severity.HINT for finding in findings)
    warned = len(warnings) + len(findings) - hints
    counts = [_count(routes, "route"), _count(warned, "warning")]
    counts += [_count(hints, "hint")] if hints else []
    print(f"{path}: sound, {', '.join(counts)}")
    return 1 if arguments.strict and warned else 0


def _served_anyway(built: Built, unstated: Mapping[str, Problem]) -> Iterator[str]:
    if built.unplaced:
        return
    if built.problems:
        names = ", ".join(f"`{route.name}`" for route in built.refused) or "no route"
        yield f"a reload or `serve --lenient` would take it into use and refuse at {names}"
    if unstated:
        names = ", ".join(f"`{name}`" for name in unstated)
        yield f"`serve` answers sign-in with {names} by a page that names the redirect URI to register"


def _findings(config: Config, built: Built) -> list[Finding]:
    lines = cache(_lines_of)
    found = lint_routes(built, config.routes, config.policies, where=config.positions)
    return [
        each
        for each in (*found, *_adapter_findings(config))
        if not is_ignored(each.code, file=each.problem.file, line=each.problem.line, lines=lines)
    ]


def _adapter_findings(config: Config) -> Iterator[Finding]:
    """What depends on the version of a proxy, which is not known here: of those that are named."""
    named = config.server.adapters if "adapters" in config.server.model_fields_set else ()
    for index, name in enumerate(named):
        if name == "haproxy":
            path = ("server", "adapters", index)
            problem = config.positions.problem(CODES["AZ301"].message, *path)
            yield Finding(code="AZ301", problem=problem)


def _lines_of(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        return []


def _remarks(warnings: Iterable[Problem], findings: Iterable[Finding]) -> list[str]:
    """Everything that is no problem, in the order of the file."""
    remarks = [(warning, _as_warning(warning)) for warning in warnings]
    remarks += [(finding.problem, str(finding)) for finding in findings]
    return [line for _, line in sorted(remarks)]


def _signing_key_problems(config: Config) -> Iterator[Problem]:
    for at, key in enumerate(config.assertion.signing_keys):
        pem = key.reveal()
        try:
            if "-----BEGIN" in pem:  # otherwise it has been refused already
                signing_key_from_pem(pem.encode())
        except ValueError:
            yield config.positions.problem(
                "is not an unencrypted EC private key on P-256", "assertion", "signing_keys", at
            )


def _client_key_problems(config: Config) -> Iterator[Problem]:
    for name, provider in config.identity_providers.items():
        pem = "" if provider.client_key is None else provider.client_key.reveal()
        try:
            if "-----BEGIN" in pem:  # otherwise it has been refused already
                client_key(pem, key_id=provider.client_key_id)
        except ValueError as error:
            path = ("identity_providers", name, "client_key")
            yield config.positions.problem(str(error), *path)


def _store_problems(config: Config) -> Iterator[Problem]:
    urls: list[tuple[Secret, tuple[Step, ...]]] = [(config.sessions.store, ("sessions", "store"))]
    for name, table in config.records.items():
        if table.redis is not None and table.redis.url is not None:
            urls.append((table.redis.url, ("records", name, "redis", "url")))
    for url, at in urls:
        if url.reveal().partition("://")[0] not in STORES:
            continue  # refused already
        try:
            parse_location(url.reveal())
        except ValueError as error:
            yield config.positions.problem(str(error), *at)


def _as_warning(warning: Problem) -> str:
    return f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.message}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
