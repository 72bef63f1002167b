"""The pages that name tests: whoever removes or renames one has to say so there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("conformance.md", "advisories.md")
_TEST = re.compile(r"`(tests/[\w/]+\.py::[^`]+)`")
_PLANS = {
    "oidcc-client-basic-certification-test-plan": 14,
    "oidcc-client-formpost-basic-certification-test-plan": 14,
    "oidcc-client-config-certification-test-plan": 6,
    "oidcc-client-rp-initiated-logout-rp-basic": 3,
    "oidcc-client-back-channel-logout-rp-basic": 8,
    "oidcc-client-front-channel-logout-rp-basic": 2,
    "oidcc-client-test-3rd-party-init-login-test-plan": 1,
    "oidcc-client-refreshtoken-test-plan": 3,
}


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def rows_of(text: str) -> list[str]:
    return re.findall(
        r"^\| (?!-)(.*) \|$", re.sub(r"^\|(-+\|)+\n", "", text, flags=re.MULTILINE), re.MULTILINE
    )


@pytest.fixture(scope="module")
def collected() -> frozenset[str]:
    """The tests in all files that are named."""
    named = [test for page in PAGES for test in _TEST.findall(text_of(page))]
    files = sorted({test.partition("::")[0] for test in named})
    # Somebody's own table of vectors is none of these pages' business.
    env = {name: value for name, value in os.environ.items() if name != "BYPASS_VECTORS"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return frozenset(line for line in done.stdout.splitlines() if "::" in line)


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str, collected: frozenset[str]) -> None:
    named = _TEST.findall(text_of(page))
    assert named
    without_parameters = {test.partition("[")[0] for test in collected}
    assert not [test for test in named if test not in collected | without_parameters]


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_a_test(page: str) -> None:
    rows = [row for row in rows_of(text_of(page)) if not row.endswith("| test")]
    assert rows
    assert not [row for row in rows if not _TEST.search(row)]


def test_every_plan_is_there_with_all_its_modules() -> None:
    sections = text_of("conformance.md").split("\n## ")[1:]
    found = {
        plan[1]: set(re.findall(r"^\| `(oidcc-[\w-]+)` \|", section, re.MULTILINE))
        for section in sections
        if (plan := re.match(r".*\(`([\w-]+)`\)\n", section))
    }
    assert {plan: len(modules) for plan, modules in found.items()} == _PLANS
