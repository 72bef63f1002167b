"""`authz-sidecar check`: prints every problem and warning of a configuration and its policies."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command, add_config_option, config_path
from authz_sidecar.config.checks.callbacks import find_missing_callbacks
from authz_sidecar.config.checks.stores import STORE_SCHEMES
from authz_sidecar.config.load import examine_config
from authz_sidecar.identity.assertion import signing_key_from_pem
from authz_sidecar.login.providers import load_client_key
from authz_sidecar.policy.lint import CODES, Severity, is_ignored
from authz_sidecar.routes.lint import LintFinding, lint_routes
from authz_sidecar.routes_from_config import compile_routes
from authz_sidecar.sessions.store_url import parse_store_url

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.config.schema import Config, Secret
    from authz_sidecar.core.source_locations import PathStep
    from authz_sidecar.errors import Problem
    from authz_sidecar.routes import CompiledRoutes


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "check", "check a configuration and its policies")
    add_config_option(parser)
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there are warnings")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print problems and warnings; return 2 with problems, 1 with warnings and `--strict`, else
    0."""
    path = config_path(arguments)
    examined = examine_config(path, env=os.environ)
    problems, warnings = set(examined.problems), set(examined.warnings)
    findings: list[LintFinding] = []
    built: CompiledRoutes | None = None
    missing_callbacks: Mapping[str, Problem] = {}
    if examined.partial is not None:
        built = compile_routes(examined.partial)
        problems.update(built.problems)
        missing_callbacks = find_missing_callbacks(examined.partial)
        problems.update(missing_callbacks.values())
        findings = _findings(examined.partial, built)
        problems.update(_signing_key_problems(examined.partial))
        problems.update(_client_key_problems(examined.partial))
        problems.update(_store_problems(examined.partial))
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    for line in _format_warnings(warnings, findings):
        print(line, file=sys.stderr)
    if problems:
        if built is not None and problems == {*built.problems, *missing_callbacks.values()}:
            for line in _lenient_hints(built, missing_callbacks):
                print(line, file=sys.stderr)
        print(f"{path}: {_pluralize(len(problems), 'problem')}", file=sys.stderr)
        return 2
    config = examined.config
    routes = 0 if config is None else len(config.routes)
    hint_count = sum(finding.severity is Severity.HINT for finding in findings)
    warning_count = len(warnings) + len(findings) - hint_count
    counts = [_pluralize(routes, "route"), _pluralize(warning_count, "warning")]
    counts += [_pluralize(hint_count, "hint")] if hint_count else []
    print(f"{path}: sound, {', '.join(counts)}")
    return 1 if arguments.strict and warning_count else 0


def _lenient_hints(built: CompiledRoutes, unstated: Mapping[str, Problem]) -> Iterator[str]:
    """The lines that say which parts of a configuration with only these problems would be
    served."""
    if built.without_location:
        return
    if built.problems:
        names = ", ".join(f"`{route.name}`" for route in built.misconfigured) or "no route"
        yield f"a reload or `serve --lenient` would accept this configuration and refuse every request to {names}"
    if unstated:
        names = ", ".join(f"`{name}`" for name in unstated)
        yield f"`serve` starts, but sign-in with {names} shows a page with the redirect URI to register"


def _findings(config: Config, built: CompiledRoutes) -> list[LintFinding]:
    lines = cache(_read_lines)
    lint_findings = lint_routes(built, config.routes, config.policies, source_map=config.source_map)
    return [
        finding
        for finding in (*lint_findings, *_adapter_findings(config))
        if not is_ignored(
            finding.code, file=finding.problem.file, line=finding.problem.line, lines=lines
        )
    ]


def _adapter_findings(config: Config) -> Iterator[LintFinding]:
    """Hints that depend on the version of a proxy, which is unknown here, for the adapters
    listed."""
    listed_adapters = config.server.adapters if "adapters" in config.server.model_fields_set else ()
    for index, name in enumerate(listed_adapters):
        if name == "haproxy":
            path = ("server", "adapters", index)
            problem = config.source_map.problem(CODES["AZ301"].message, *path)
            yield LintFinding(code="AZ301", problem=problem)


def _read_lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        return []


def _format_warnings(warnings: Iterable[Problem], findings: Iterable[LintFinding]) -> list[str]:
    """The warnings and findings as lines, in the order of the file."""
    lines = [(warning, _format_warning(warning)) for warning in warnings]
    lines += [(finding.problem, str(finding)) for finding in findings]
    return [line for _, line in sorted(lines)]


def _signing_key_problems(config: Config) -> Iterator[Problem]:
    for index, key in enumerate(config.assertion.signing_keys):
        pem = key.reveal()
        try:
            if "-----BEGIN" in pem:  # otherwise the schema has refused it
                signing_key_from_pem(pem.encode())
        except ValueError:
            yield config.source_map.problem(
                "is not an unencrypted EC private key on P-256", "assertion", "signing_keys", index
            )


def _client_key_problems(config: Config) -> Iterator[Problem]:
    for name, provider in config.identity_providers.items():
        pem = "" if provider.client_key is None else provider.client_key.reveal()
        try:
            if "-----BEGIN" in pem:  # otherwise it has been refused already
                load_client_key(pem, key_id=provider.client_key_id)
        except ValueError as error:
            path = ("identity_providers", name, "client_key")
            yield config.source_map.problem(str(error), *path)


def _store_problems(config: Config) -> Iterator[Problem]:
    urls: list[tuple[Secret, tuple[PathStep, ...]]] = [
        (config.sessions.store, ("sessions", "store"))
    ]
    for name, table in config.records.items():
        if table.redis is not None and table.redis.url is not None:
            urls.append((table.redis.url, ("records", name, "redis", "url")))
    for url, path in urls:
        if url.reveal().partition("://")[0] not in STORE_SCHEMES:
            continue  # refused already
        try:
            parse_store_url(url.reveal())
        except ValueError as error:
            yield config.source_map.problem(str(error), *path)


def _format_warning(warning: Problem) -> str:
    return f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.message}"


def _pluralize(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
