"""The reference of the language names what there is, and what it shows works."""

from __future__ import annotations

import re
from pathlib import Path

from authz_sidecar.policy.lint import CODES

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()


def test_every_lint_code_is_documented_as_it_is_said() -> None:
    rows = re.findall(r"^\| `(AZ\d+)` \| (\w+) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, each.severity, each.message, each.fix) for name, each in CODES.items()]
