"""Writes the generated pages of the documentation again: `make docs`."""

from __future__ import annotations

from pathlib import Path

from authz_sidecar.config.reference import markdown

DOCS = Path(__file__).parent.parent / "docs"


def pages() -> dict[Path, str]:
    return {DOCS / "configuration.md": markdown()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
