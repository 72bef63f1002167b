from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run

__all__ = ["run"]

SAME = """\
idp_provider: google
idp_client_id: client
shared_secret: hunter2
routes:
  - {from: https://a.example.com, to: http://a, prefix: /admin, allowed_users: [root@example.com]}
  - {from: https://a.example.com, to: http://a, allow_any_authenticated_user: true}
"""
OTHER = SAME + "  - {from: https://a.example.com, prefix: /late, allowed_domains: [example.com]}\n"


def test_the_configuration_comes_out_and_the_report_beside_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.yaml").write_text(SAME)
    code, out, err = run("import", "pomerium", "config.yaml")
    assert code == 0
    assert "PROXY WORK" in err
    assert "hunter2" not in out + err
    Path("authz-sidecar.yaml").write_text(out)
    monkeypatch.setenv("AUTHZ_SECRET_KEY", "Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e")
    assert run("check") == (0, "authz-sidecar.yaml: sound, 2 routes, 0 warnings\n", "")


def test_another_winner_wants_to_be_accepted(run: Run) -> None:
    Path("config.yaml").write_text(OTHER)
    code, out, err = run("import", "pomerium", "config.yaml")
    assert code == 1
    assert err.startswith("DIFFERENT ROUTE")
    assert (
        "config.yaml:7:5: `a.example.com /late` (https://a.example.com, plain prefix `/late`)\n"
        "    now takes precedence over `a.example.com` (https://a.example.com, prefix `/`) on line 6\n"
    ) in err
    assert run("import", "pomerium", "config.yaml", "--accept") == (0, out, err)


def test_files_are_written_once(run: Run) -> None:
    Path("config.yaml").write_text(SAME)
    arguments = (
        "import",
        "pomerium",
        "config.yaml",
        "--out",
        "ours.yaml",
        "--report",
        "report.txt",
    )
    assert run(*arguments) == (0, "", "")
    assert Path("ours.yaml").read_text().startswith("# Written by")
    assert "PROXY WORK" in Path("report.txt").read_text()
    code, _, err = run(*arguments)
    assert code == 2
    assert err == "authz-sidecar: `ours.yaml` exists already and was not changed\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"routes: [", "config.yaml:2:1: not valid yaml", id="not yaml"),
        pytest.param(b"[]", "`config.yaml` is not a map of options", id="a list"),
        pytest.param(b"\xff", "`config.yaml` is not text in UTF-8", id="not text"),
        pytest.param(b"a: 1\na: 2", "config.yaml:2:1: a: given twice", id="duplicate key"),
        pytest.param(b"#" * (33 << 20), "`config.yaml` is larger than 32 MiB", id="large"),
    ],
)
def test_what_cannot_be_read(run: Run, content: bytes, complaint: str) -> None:
    Path("config.yaml").write_bytes(content)
    code, out, err = run("import", "pomerium", "config.yaml")
    assert (code, out) == (2, "")
    assert complaint in err


def test_nothing_there(run: Run) -> None:
    assert run("import", "pomerium", "nowhere.yaml")[0] == 2
    assert run("import", "oauth2-proxy", "x")[0] == 2
