"""The commands that set a machine up: clear sentences, and nothing left out in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of a clone as the tools look at."""
    place = tmp_path / "clone"
    place.mkdir()
    shutil.copytree(ROOT / "tools", place / "tools")
    for name in ("pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, place)
    return place


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A search path with a shell's bare necessities: no Python, no apt, no servers."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("sh", "dirname", "cat", "rm", "id", "cmp", "cp", "grep", "printf"):
        if found := shutil.which(name):
            (place / name).symlink_to(found)
    return place


def run(command: list[str], *, where: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=where, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_machine_without_a_recent_python_is_told_what_to_install(
    clone: Path, bare_path: Path
) -> None:
    done = run(["sh", "tools/venv.sh", "demo"], where=clone, PATH=str(bare_path))
    assert done.returncode == 2
    assert "Python 3.11 or later is needed" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_a_named_python_that_is_none_is_said_to_be_none(clone: Path, bare_path: Path) -> None:
    done = run(
        ["sh", "tools/venv.sh", "demo"], where=clone, PATH=str(bare_path), PYTHON="/no/python"
    )
    assert done.returncode == 2
    assert "`/no/python` is not Python 3.11 or later" in done.stderr


def test_a_python_without_ensurepip_is_told_apart(clone: Path, bare_path: Path) -> None:
    python = bare_path / "python3"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*|"-m "*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    done = run(["sh", "tools/venv.sh", "dev"], where=clone, PATH=str(bare_path))
    assert done.returncode == 2
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_missing_servers_are_named_with_what_they_cost(clone: Path, bare_path: Path) -> None:
    script = clone / "tools" / "test-machine.sh"
    script.write_text(script.read_text().replace("/usr/sbin:/usr/local/sbin", "/nowhere"))
    command = ["sh", "tools/test-machine.sh"]
    done = run(command, where=clone, PATH=str(bare_path))
    assert done.returncode == 0
    for name in ("redis-server", "nginx", "haproxy", "chromium", "node", "npm"):
        assert f"`{name}` is missing" in done.stderr
    assert run(command, where=clone, PATH=str(bare_path), CI="true").returncode == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], 0, id="at home a skipped test is fine"),
        pytest.param(["-p", "tests.nothing_skipped"], 1, id="in CI it fails the run"),
        pytest.param(["-p", "tests.nothing_skipped", "-n", "2"], 1, id="in several processes too"),
    ],
)
def test_skipped_tests(tmp_path: Path, options: list[str], expected: int) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_a(): pass\n@pytest.mark.skip\ndef test_b(): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", *options, "."]
    done = run(command, where=tmp_path, **{**env, "PYTHONPATH": str(ROOT)})
    assert done.returncode == expected, done.stdout + done.stderr


def test_every_command_of_the_makefile_explains_itself(clone: Path) -> None:
    done = run(["make", "help"], where=clone, PATH=os.environ["PATH"])
    for name in ("demo", "test", "lint", "format", "types", "e2e", "docs", "clean"):
        assert f"make {name} " in done.stdout
