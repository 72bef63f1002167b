"""The strings of the package, found in its source: what a call or a keyword says wherever it stands,
with constants followed to where they are defined. Names of modules do not matter here."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "authz_sidecar"
T = TypeVar("T", bound=ast.AST)
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Call:
    """`name` is the called function's own, `receiver` what it is called on (`self._keys`, or
    nothing)."""

    module: str
    name: str
    receiver: str
    node: ast.Call

    def first_text(self) -> str | None:
        return text_of(self.node.args[0], self.module) if self.node.args else None


@cache
def modules() -> dict[str, ast.Module]:
    files = (path for path in sorted(PACKAGE.rglob("*.py")))
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): ast.parse(path.read_text())
        for path in files
    }


@cache
def calls() -> tuple[Call, ...]:
    found = []
    for module, node in _all_nodes():
        if isinstance(node, ast.Call):
            on, _, name = ast.unparse(node.func).rpartition(".")
            found.append(Call(module, name, on, node))
    return tuple(found)


def keyword_texts(*names: str) -> frozenset[str]:
    """The constant strings that are given to keywords of these names."""
    values = (
        text_of(keyword.value, call.module)
        for call in calls()
        for keyword in call.node.keywords
        if keyword.arg in names
    )
    return frozenset(text for text in values if text and "{}" not in text)


def returned_texts(function: str) -> frozenset[str]:
    """The constant strings that functions of this name return."""
    return frozenset(
        text
        for module, node in _all_nodes()
        if isinstance(node, ast.FunctionDef) and node.name == function
        for inner in ast.walk(node)
        if isinstance(inner, ast.Return) and inner.value is not None
        for branch in _branches(inner.value)
        if (text := text_of(branch, module)) is not None
    )


def string_constants() -> frozenset[str]:
    """Every string literal of the package that is no part of a longer one."""
    return frozenset(
        node.value
        for _, node in _all_nodes()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def text_of(node: ast.expr, module: str) -> str | None:
    """A string, whose unknown parts are `{}`; None where it is none or comes from elsewhere."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part, module) or "{}" for part in parts)
        case ast.Name(id=name):
            return _constant(name, module)
        case _:
            return None


def _constant(name: str, module: str) -> str | None:
    """What a module, or the one that it imports the name from, says it is."""
    for node in ast.walk(modules()[module]):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return text_of(value, module)
            case ast.ImportFrom(module=str(origin), names=names) if origin in modules():
                for alias in names:
                    if (alias.asname or alias.name) == name and alias.name.isupper():
                        return _constant(alias.name, origin)
    return None


def nodes(kind: type[T]) -> Iterator[tuple[str, T]]:
    """All of a kind, each with its module."""
    for module, node in _all_nodes():
        if isinstance(node, kind):
            yield module, node


def _branches(value: ast.expr) -> tuple[ast.expr, ...]:
    if isinstance(value, ast.IfExp):
        return (*_branches(value.body), *_branches(value.orelse))
    if isinstance(value, ast.Tuple):
        return tuple(value.elts)
    return (value,)


def _all_nodes() -> Iterator[tuple[str, ast.AST]]:
    for module, tree in modules().items():
        for node in ast.walk(tree):
            yield module, node


def golden_rows(name: str) -> list[str]:
    """The rows of a golden file; lines that begin with `#` explain them."""
    lines = (GOLDEN / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
