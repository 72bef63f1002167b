"""Names and imports across the package: no class is defined twice for two things, no function is named
like its module, few files share a name, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PACKAGE = Path(__file__).parent.parent / "authz_sidecar"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A protocol of one room and what implements it in another: the same thing, under the same name.
PROTOCOLS = frozenset(
    {"CachedSession", "DecisionPreview", "NearCache", "NearCacheStats", "Pages", "SessionFinder"}
)
# The criteria are named by the language; the others are what their module is for.
MODULE_FUNCTIONS = frozenset(
    {"authentication", "authorization_request", "decide", "device", "explain", "record", "replay"}
    | {"user"}
)
# Rooms and sections of the configuration are called alike: records, headers, providers, claims.
MAX_SAME_FILE_NAME = 5

# Type-only circles: two halves of one concept that name each other's values.
TYPE_CIRCLES = frozenset(
    {
        frozenset({"app.application", "app.record_tables"}),
        frozenset({"fastpath.header_blocks", "fastpath.request_parser", "fastpath.response_cache"}),
        frozenset({"login.redirect_uri", "login.transactions"}),
        frozenset({"server.slot_monitor", "server.worker_pool", "server.worker_status"}),
    }
)


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


BY_NAME = {dotted(path): path for path in MODULES}


def imported(body: Iterable[ast.stmt], *, types: bool) -> Iterator[str]:
    """The package's modules that a module imports when it is imported itself; `types` adds those
    that it imports for its annotations."""
    for node in body:
        if isinstance(node, ast.If):
            is_types = ast.unparse(node.test) == "TYPE_CHECKING"
            if types or not is_types:
                yield from imported(node.body, types=types)
            yield from imported(node.orelse, types=types)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("authz_sidecar"):
            base = (node.module or "").partition("authz_sidecar")[2].removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                yield inner if inner in BY_NAME else base


def circles(graph: Mapping[str, frozenset[str]]) -> set[frozenset[str]]:
    """The strongly connected components of more than one module."""

    def reached(start: str) -> frozenset[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for following in graph[todo.pop()] - seen:
                seen.add(following)
                todo.append(following)
        return frozenset(seen)

    reach = {module: reached(module) for module in graph}
    return {
        frozenset(other for other in reach[module] if module in reach[other])
        for module in graph
        if module in reach[module]
    }


def graph(*, types: bool) -> dict[str, frozenset[str]]:
    return {
        module: frozenset(imported(ast.parse(path.read_text()).body, types=types))
        & (BY_NAME.keys() - {module})
        for module, path in BY_NAME.items()
    }


def test_no_modules_import_each_other() -> None:
    assert circles(graph(types=False)) == set()


def test_type_only_circles_are_few_and_known() -> None:
    assert circles(graph(types=True)) == TYPE_CIRCLES


def test_no_class_is_defined_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(dotted(path))
    assert {name for name, modules in places.items() if len(modules) > 1} == PROTOCOLS


def test_no_function_is_named_like_its_module() -> None:
    same = {
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == path.stem
    }
    assert same == MODULE_FUNCTIONS


def test_few_files_share_a_name() -> None:
    names = Counter(path.stem for path in MODULES if path.stem != "__init__")
    assert max(names.values()) <= MAX_SAME_FILE_NAME
