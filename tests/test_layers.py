"""The house rule as two tables: which room may look into which, and where each library lives.

Arrows point toward `core`. A new row is a decision: write it down in `docs/decisions/`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parent.parent / "authz_sidecar"
EVERYTHING = frozenset({"*"})

# Room -> rooms it may import from. A room is a package or a module at the top.
ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "core": frozenset({"errors"}),
    "sealing": frozenset(),
    "background_tasks": frozenset(),
    "polling": frozenset({"background_tasks", "errors"}),
    "rate_limit": frozenset({"core", "errors"}),
    "provider_presets": frozenset(),
    "policy": frozenset({"core", "errors"}),
    "routes": frozenset({"core", "errors", "policy"}),
    "adapters": frozenset({"core", "errors"}),
    "identity": frozenset({"core", "errors", "routes", "sealing"}),
    "sessions": frozenset({"background_tasks", "core", "errors", "sealing"}),
    "oidc": frozenset({"core", "errors", "provider_presets"}),
    "login": frozenset(
        {
            "background_tasks",
            "core",
            "errors",
            "oidc",
            "provider_presets",
            "rate_limit",
            "sealing",
            "sessions",
        }
    ),
    "tokens": frozenset({"background_tasks", "core", "errors", "oidc", "routes", "sealing"}),
    "accounts": frozenset(
        {
            "background_tasks",
            "core",
            "errors",
            "rate_limit",
            "routes",
            "sealing",
            "sessions",
            "tokens",
        }
    ),
    "check": frozenset({"adapters", "core", "errors", "identity", "policy", "routes", "sessions"}),
    "fastpath": frozenset({"adapters", "check", "core", "errors", "policy", "routes", "sessions"}),
    "config": frozenset({"core", "errors", "provider_presets"}),
    "routes_from_config": frozenset({"adapters", "config", "core", "policy", "routes"}),
    "snippets": frozenset({"adapters", "config", "core", "errors", "identity", "routes"}),
    "migrate": frozenset({"config", "core", "errors", "policy", "provider_presets", "routes"}),
    "observe": frozenset({"background_tasks", "check", "core", "errors"}),
    "web": frozenset({"adapters", "check", "core", "errors", "identity", "login", "observe"}),
    "server": frozenset(
        {
            "app",
            "background_tasks",
            "config",
            "core",
            "errors",
            "fastpath",
            "observe",
            "routes_from_config",
            "web",
        }
    ),
    "app": EVERYTHING,
    "cli": EVERYTHING,
    "demo": EVERYTHING,
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}

# Library -> modules that may import it. A package stands for all its modules.
LIBRARIES: dict[str, frozenset[str]] = {
    "authlib": frozenset({"login.providers.token_request"}),
    "httpx2": frozenset({"oidc.http_client"}),
    "jwt": frozenset({"oidc.jws", "oidc.client_key", "identity.assertion"}),
    "redis": frozenset({"sessions.redis"}),
    "bcrypt": frozenset({"accounts.htpasswd"}),
    "cryptography": frozenset(
        {"accounts.htpasswd", "sealing", "identity.assertion", "policy.certificates", "cli.keys"}
    ),
    "re2": frozenset({"policy.regex"}),
    "yaml": frozenset({"config.yaml"}),
    "pydantic": frozenset({"config", "web"}),
    "pydantic_core": frozenset({"config"}),
    "jinja2": frozenset({"web.pages"}),
    "markupsafe": frozenset({"web.pages"}),
    "starlette": frozenset({"web"}),
    "fastapi": frozenset({"web"}),
    "uvicorn": frozenset({"server"}),
    "uvloop": frozenset(),
    "httptools": frozenset({"server.protocol"}),
    "prometheus_client": frozenset({"observe.metrics"}),
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, wherever it does so."""
    package = ["authz_sidecar", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            yield node.lineno, ".".join([*base, *((node.module or "").split("."))]).rstrip(".")
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if name == "authz_sidecar":
                yield from ((node.lineno, f"{name}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, name


def allowed(names: frozenset[str], name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names)


def violations(path: Path) -> Iterator[str]:
    module = dotted(path)
    room = module.partition(".")[0]
    for line, name in imports(path):
        top, _, inner = name.partition(".")
        if top == "authz_sidecar":
            other = inner.partition(".")[0]
            if other in ("", "__version__", room):
                continue
            if ROOMS[room] is not EVERYTHING and other not in ROOMS[room]:
                yield f"{path.name}:{line}: `{room}` may not look into `{other}`"
        elif top not in sys.stdlib_module_names and not allowed(
            LIBRARIES.get(top, frozenset()), module
        ):
            yield f"{path.name}:{line}: `{top}` may not be imported by `{module}`"


@pytest.mark.parametrize("path", MODULES, ids=map(dotted, MODULES))
def test_imports_keep_to_the_tables(path: Path) -> None:
    assert list(violations(path)) == []


def test_every_room_is_in_the_table() -> None:
    rooms = {dotted(path).partition(".")[0] for path in MODULES}
    assert rooms <= ROOMS.keys()


def test_the_core_uses_no_clock_randomness_logging_or_io() -> None:
    banned = {"time", "random", "secrets", "logging", "os", "socket", "asyncio", "pathlib", "io"}
    for path in (PACKAGE / "core").glob("*.py"):
        assert not banned & {name.partition(".")[0] for _, name in imports(path)}, path.name
