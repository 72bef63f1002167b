"""`docs/architecture.md` is true: the tree, the walks and the table of where to change what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "authz_sidecar"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
WALKS = ("A check", "A sign-in", "A configuration")
OUTSIDE = ("benchmarks", "deploy", "docs", "tests")
MAX_STOPS = 10

_STOP = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^$|\Z)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")


def stops(walk: str) -> list[str]:
    return [text for _, text in _STOP.findall(SECTIONS[walk])]


def path_of(name: str) -> Path:
    return (ROOT if name.partition("/")[0] in OUTSIDE else PACKAGE) / name


def defined(module: Path) -> frozenset[str]:
    """The names of a module's classes and functions, and `Class.method`."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{member.name}"
                for member in node.body
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(names)


def named(stop: str) -> list[tuple[str, str]]:
    """Each name of a stop with the module before it."""
    module, names = "", []
    for code in _CODE.findall(stop):
        if "/" in code or code.endswith(".py"):
            module = code
        elif re.fullmatch(r"[A-Za-z_.]+", code):
            names.append((module, code))
    return names


def test_the_tree_is_drawn_as_it_is() -> None:
    tool = [sys.executable, "tools/package_tree.py", "--check"]
    assert subprocess.run(tool, cwd=ROOT, check=False).returncode == 0, "run `make docs`"


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_has_few_stops_each_with_a_name(walk: str) -> None:
    numbers = [int(number) for number, _ in _STOP.findall(SECTIONS[walk])]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1 < len(numbers) <= MAX_STOPS
    assert all(named(stop) for stop in stops(walk))


@pytest.mark.parametrize("walk", WALKS)
def test_every_name_of_a_walk_is_in_the_module_before_it(walk: str) -> None:
    missing = [
        f"{module}: {name}"
        for stop in stops(walk)
        for module, name in named(stop)
        if not path_of(module).is_file() or name not in defined(path_of(module))
    ]
    assert missing == []


def test_every_path_of_the_page_exists() -> None:
    paths = {
        code
        for section in (*WALKS, "Rooms", "Where do I change …?")
        for code in _CODE.findall(SECTIONS[section])
        if "/" in code or code.endswith(".py")
    }
    assert len(paths) > 50
    assert sorted(path for path in paths if not path_of(path).exists()) == []


def test_every_change_has_its_tests() -> None:
    rows = re.findall(
        r"^\| (?!to change)(.+) \| (.+) \| (.+) \|$", SECTIONS["Where do I change …?"], re.MULTILINE
    )
    assert len(rows) > 20
    for change, places, tests in rows:
        assert _CODE.findall(places), change
        assert all(path.startswith("tests/") for path in _CODE.findall(tests)), change
