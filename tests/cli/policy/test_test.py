from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from authz_sidecar.cli import main

CONFIG = """\
secret_keys: [{env: NOT_SET_HERE}]
identity_providers: {corp: {issuer: https://idp.example.com, client_id: a, callback: own}}
routes:
  - name: app
    from: https://app.example.com
    policy:
      - allow: {or: [{groups: {has: eng}}, {email: {is: boss@example.com}}]}
      - deny: {and: [{http_path: {starts_with: /admin}}, {groups: {exclude: ops}}]}
"""
CASES = """\
- name: engineers pass
  request: https://app.example.com/
  identity: {groups: [eng]}
  expect: {verdict: allow, route: app, reasons: [groups-ok]}
- name: strangers sign in
  request: {url: https://app.example.com/}
  identity: none
  expect: sign-in
- name: engineers are kept from the administration
  request: {url: https://app.example.com/admin}
  identity: {groups: [eng]}
  expect: {verdict: deny, reasons: [http-path-ok]}
"""

Test = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Test:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    Path("c.yaml").write_text(CONFIG)
    Path("c.test.yaml").write_text(CASES)

    def run(*options: str) -> tuple[int, str, str]:
        code = main(("policy", "test", "--config", "c.yaml", *options))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_tests_beside_the_configuration_are_found(run: Test) -> None:
    assert run() == (
        0,
        """\
✓ engineers pass
✓ strangers sign in
✓ engineers are kept from the administration
3 passed, 0 failed
""",
        "",
    )


def test_a_failure_shows_the_difference_and_why(run: Test) -> None:
    Path("other.yaml").write_text(
        "cases:\n- request: https://app.example.com/x\n  identity: {groups: [sales]}\n"
        "  expect: {verdict: allow, route: other, reasons: [groups-ok]}\n"
    )
    code, out, err = run("other.yaml")
    assert (code, err) == (1, "")
    assert out.startswith(
        "✗ GET https://app.example.com/x  (other.yaml:2)\n"
        "    verdict  expected allow      found deny\n"
        "    route    expected other      found app\n"
        "    reasons  expected groups-ok  found email-unauthorized, groups-unauthorized\n"
    )
    assert "groups     has eng" in out
    assert out.endswith("0 passed, 1 failed\n")


def test_coverage_names_what_no_case_depends_on(run: Test) -> None:
    code, out, _ = run("--coverage")
    assert code == 0
    assert out.endswith(
        "c.yaml:7:45: routes[0].policy[0].allow.or[1].email: was never decisive\n"
        "coverage 67 %: 2 of 3 rules\n"
    )


@pytest.mark.parametrize(("least", "code"), [("60", 0), ("66%", 0), ("70", 1), ("100", 1)])
def test_a_minimum_of_coverage(run: Test, least: str, code: int) -> None:
    assert run("--min-coverage", least)[0] == code


def test_junit(run: Test) -> None:
    Path("fails.yaml").write_text(
        '- {name: "a\\u0001b", request: "https://app.example.com", expect: allow}'
    )
    code, _, _ = run("--junit", "out.xml", "c.test.yaml", "fails.yaml")
    assert code == 1
    root = ET.parse("out.xml").getroot()
    assert root.attrib == {"tests": "4", "failures": "1", "errors": "0"}
    assert [suite.get("name") for suite in root] == ["c.test.yaml", "fails.yaml"]
    (failed,) = root[1]
    assert failed.attrib == {"name": "a\ufffdb", "classname": "fails.yaml", "line": "1"}
    assert failed[0].get("message") == "verdict: expected allow, found sign-in"


def test_a_directory_keeps_tests_apart_from_configuration(
    run: Test, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("d").mkdir()
    Path("d/main.yaml").write_text(CONFIG)
    Path("d/main.test.yaml").write_text(CASES)
    assert main(("policy", "test", "--config", "d")) == 0
    assert "3 passed" in capsys.readouterr().out


def test_several_providers(run: Test) -> None:
    Path("p.yaml").write_text(
        CONFIG.replace("client_id: a}}", "client_id: a}, guests: {issuer: https://g.example, "
                       "client_id: a}}\ndefault_identity_provider: corp")
    )  # fmt: skip
    Path("p.test.yaml").write_text(
        "- {request: https://app.example.com, identity: {provider: guests, groups: eng},"
        " expect: sign-in}"
    )
    assert main(("policy", "test", "--config", "p.yaml", "p.test.yaml")) == 0


@pytest.mark.parametrize(
    ("write", "options", "complaint"),
    [
        ({"c.test.yaml": None}, (), "no `*.test.yaml` beside `c.yaml`"),
        ({}, ("missing.yaml",), "cannot read `missing.yaml`: no such file"),
        ({"c.test.yaml": "- {request: x}"}, (), "[0].request.url: `x` is no absolute url"),
        ({"c.test.yaml": "- {"}, (), "not valid yaml"),
        ({"c.yaml": CONFIG.replace("http_path", "path")}, (), "unknown criterion `path`"),
        ({}, ("--junit", "no/where.xml"), "cannot write `no/where.xml`"),
    ],
)
def test_wrong_usage(
    run: Test, write: dict[str, str | None], options: tuple[str, ...], complaint: str
) -> None:
    for name, text in write.items():
        Path(name).unlink() if text is None else Path(name).write_text(text)
    code, _, err = run(*options)
    assert code == 2
    assert complaint in err


def test_no_percentage(run: Test) -> None:
    with pytest.raises(SystemExit):
        run("--min-coverage", "lots")
