"""The hooks of `.pre-commit-config.yaml` are the commands of `make lint`, and fetch nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from authz_sidecar.config.yaml import parse_yaml

ROOT = Path(__file__).parent.parent


def hooks() -> list[dict[str, Any]]:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    document = parse_yaml(text, file=".pre-commit-config.yaml").data
    assert [repository["repo"] for repository in document["repos"]] == ["local"]
    return [hook for repository in document["repos"] for hook in repository["hooks"]]


def test_the_hooks_are_the_commands_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    commands = [line.strip().removeprefix("@") for line in recipe[1].splitlines()]
    assert [hook["entry"] for hook in hooks()] == [
        command.replace("$(PY)", ".venv/bin/python") for command in commands
    ]


def test_the_hooks_run_what_is_installed() -> None:
    assert {hook["language"] for hook in hooks()} == {"system"}
    assert {hook["pass_filenames"] for hook in hooks()} == {False}
