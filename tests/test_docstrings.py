"""Public docstrings: every public class, function and method has one, and one that
raises an error says which."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parent.parent / "authz_sidecar"
Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = sorted(PACKAGE.rglob("*.py"))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """The public definitions of a module, with the methods of its public classes."""
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{node.name}.")


def raised(function: Function) -> Iterator[str]:
    """The classes that a function raises by name itself, outside of what it catches again."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Raise):
            continue
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(error, ast.Name) and error.id[:1].isupper():
            yield error.id


def lacking(path: Path) -> Iterator[str]:
    for name, node in public(ast.parse(path.read_text()).body):
        text = ast.get_docstring(node)
        if text is None:
            yield f"{path.name}:{node.lineno}: `{name}` has no docstring"
        elif isinstance(node, Function):
            for error in sorted(set(raised(node))):
                if error not in text:
                    yield f"{path.name}:{node.lineno}: `{name}` does not say that it raises `{error}`"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_names_say_what_they_are_and_raise(path: Path) -> None:
    assert list(lacking(path)) == []
