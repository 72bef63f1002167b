"""Writes the drawing of the package in docs/architecture.md again: one line per room, with its modules.

python tools/package_tree.py          # writes
python tools/package_tree.py --check  # exit code 1 when the drawing is not that of the tree
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
_WIDTH = 116  # columns
_INDENT = 14  # columns of a room's name; a nested package's takes as many again
_DRAWING = re.compile(r"(?<=```text\n)authz_sidecar/\n.*?(?=```)", re.DOTALL)


def draw(package: Path) -> str:
    """Return the drawing of a package: its own modules, then each room with its packages."""
    lines = _wrapped("  ", [path.name for path in sorted(package.glob("[a-z]*.py"))])
    for room in _packages(package):
        head = f"  {room.name}/".ljust(_INDENT)
        lines += _wrapped(head, _modules(room)) or [head.rstrip()]
        for nested in _packages(room):
            lines += _wrapped(f"{' ' * _INDENT}{nested.name}/".ljust(2 * _INDENT), _modules(nested))
    return "\n".join((f"{package.name}/", *lines, ""))


def _packages(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob("*/__init__.py"))


def _modules(package: Path) -> list[str]:
    return sorted(path.stem for path in package.glob("*.py") if path.name[0] != "_")


def _wrapped(head: str, names: list[str]) -> list[str]:
    return textwrap.wrap(
        " ".join(names), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
    )


def with_drawing(page: str) -> str:
    """Return the page with the drawing of today's tree."""
    return _DRAWING.sub(lambda _: draw(ROOT / "authz_sidecar"), page, count=1)


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    page = PAGE.read_text()
    if "--check" in arguments:
        return int(with_drawing(page) != page)
    PAGE.write_text(with_drawing(page))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
