from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authz_sidecar.cli import main
from tests.routes.test_replay import LINE

CONFIG = """\
identity_providers: {corp: {issuer: https://idp.example.com, client_id: a, callback: own}}
routes:
  - name: app
    from: https://app.example.com
    policy: {allow: {or: [{email: {is: ann@corp.test}}]}}
  - name: wiki
    from: https://wiki.example.com
    policy: {allow: {or: [{groups: {has: eng}}]}}
"""

Diff = Callable[..., tuple[int, str, str]]


@pytest.fixture
def diff(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> Diff:
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(CONFIG)

    def diff(new: str, *lines: object) -> tuple[int, str, str]:
        Path("new.yaml").write_text(new)
        text = "".join(f"{it if isinstance(it, str) else json.dumps(it)}\n" for it in lines)
        Path("log").write_text(text)
        code = main(("policy", "diff", "old.yaml", "new.yaml", "--requests", "log"))
        said = capsys.readouterr()
        return code, said.out, said.err

    return diff


def test_nothing_changes(diff: Diff) -> None:
    assert diff(CONFIG, LINE, LINE) == (0, "2 requests replayed, 0 changed\n", "")


def test_a_log_that_tells_nothing_is_no_proof(diff: Diff) -> None:
    for line in ("not json", {"message": "started"}, {**LINE, "host": None}):
        code, _, err = diff(CONFIG, line)
        assert (code, err) == (2, "no line of `log` could be replayed\n")
    assert diff(CONFIG)[0] == 0


def test_what_changes_by_route(diff: Diff) -> None:
    bob = {**LINE, "user": "u2", "email": "bob@corp.test", "path": "/b"}
    wiki = {**LINE, "host": "wiki.example.com"}
    new = CONFIG.replace("ann@", "bob@").replace("wiki.example.com", "news.example.com")
    code, out, err = diff(new, LINE, bob, LINE, wiki, {**wiki, "groups": ["eng"]},
                          "not json", {"message": "started"}, {**LINE, "host": None})  # fmt: skip
    assert (code, err) == (1, "")
    assert (
        out
        == """\
app
  allow → deny  GET https://app.example.com/a   ann@corp.test  2x
  deny → allow  GET https://app.example.com/b   bob@corp.test  1x
wiki → no route
  allow → deny  GET https://wiki.example.com/a  ann@corp.test  1x
4 requests replayed, 4 changed
1 request could not be replayed: the log lacks groups
1 request could not be replayed: the log lacks method, host and path
2 other lines skipped
"""
    )


def test_the_log_from_standard_input(
    diff: Diff, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(LINE).encode())))
    assert main(("policy", "diff", "old.yaml", "old.yaml", "--requests", "-")) == 0
    assert capsys.readouterr().out == "1 request replayed, 0 changed\n"


def test_no_log(diff: Diff, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("policy", "diff", "old.yaml", "old.yaml", "--requests", "none")) == 2
    assert "cannot read `none`: no such file" in capsys.readouterr().err
