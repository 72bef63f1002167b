"""The configurations in `docs/examples/` are sound, and their policy tests pass and cover every rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz_sidecar.cli import main

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
CONFIGURATIONS = sorted(EXAMPLES.glob("*/authz-sidecar.yaml"))


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHZ_SECRET_KEY", "Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6eQ1uYx2oTi5c")
    monkeypatch.setenv("OIDC_CLIENT_SECRET", "s")


def test_there_are_several_and_each_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    names = [path.name for path in EXAMPLES.iterdir() if path.name != "README.md"]
    assert len(CONFIGURATIONS) > 1
    assert [name for name in names if f"({name}" not in listed] == []


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_a_configuration_passes_check(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", "--config", str(path)]) == 0, capsys.readouterr()


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_its_policy_tests_pass_and_cover_every_rule(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["policy", "test", "--config", str(path), "--coverage", "--min-coverage", "100"]
    assert main(arguments) == 0, capsys.readouterr()
