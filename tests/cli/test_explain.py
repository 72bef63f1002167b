from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.cli import main
from authz_sidecar.cli.explain_text import adapt_to_stream, format_value, render

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
secret_keys: [{env: NOT_SET_HERE}]
identity_providers:
  corp: {issuer: https://idp.example.com, client_id: a, client_secret: {env: NOT_SET_HERE}}
server: {adapters: [traefik]}
policies:
  engineers:
    - allow:
        and:
          - domain: {is: example.com}
          - groups: {has: eng}
routes:
  - name: grafana
    from: https://grafana.example.com
    allowed_users: [boss@example.com]
    policies: [engineers]
    policy:
      - deny:
          and:
            - http_path: {starts_with: /admin}
          not:
            - source_ip: [10.0.0.0/8]
  - name: deploy
    from: https://deploy.example.com
    token_issuers: ci
    policy:
      - allow: {and: [{user: {is: ci/bot}}]}
token_issuers:
  ci: {issuer: https://ci.example.com, audiences: [a]}
"""

Explain = Callable[..., str]


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> Explain:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    (tmp_path / "c.yaml").write_text(CONFIG)

    def explain(*options: str) -> str:
        assert main(("explain", "--config", "c.yaml", *options)) == 0
        return capsys.readouterr().out

    return explain


def test_a_denial_as_a_tree(explain: Explain) -> None:
    said = explain(
        *("--url", "https://grafana.example.com/admin?x=1", "--email", "ann@example.com"),
        *("--groups", "eng, ops", "--ip", "10.1.2.3", "--at", "2026-03-05T08:00:00Z"),
    )
    assert (
        said
        == """\
GET https://grafana.example.com/admin?x=1
  as     user (not given), ann@example.com, groups eng, ops, by corp
  from   10.1.2.3
  at     2026-03-05T08:00:00+00:00
  route  grafana: https://grafana.example.com, prefix `/`  (c.yaml:12)

✓ allow
├─ ✗ or            the route's shorthands                                    c.yaml:12
│  ├─ ✗ user       is boss@example.com  (not given)      user-unauthorized   c.yaml:14
│  └─ ✗ email      is boss@example.com  ann@example.com  email-unauthorized  c.yaml:14
└─ ✓ and           policy `engineers`                                        c.yaml:8
   ├─ ✓ domain     is example.com       example.com      domain-ok           c.yaml:9
   └─ ✓ groups     has eng              eng, ops         groups-ok           c.yaml:10
✓ deny
├─ ✓ and           the route's own policy  ◀ decides                         c.yaml:18
│  └─ ✓ http_path  starts_with /admin   /admin           http-path-ok        c.yaml:19
└─ ✗ not           the route's own policy                                    c.yaml:20
   └─ ✓ source_ip  10.0.0.0/8           10.1.2.3         source-ip-ok        c.yaml:21

DENIED: http-path-ok
  403, with an error page for browsers
"""
    )


def test_the_same_for_programs(explain: Explain) -> None:
    told = json.loads(explain("--json", "--url", "https://grafana.example.com/", "--user", "u1",
                              "--ip", "10.0.0.1", "--claim", "level=3", "--claim", "a=[x, y]",
                              "--claim", "on=no"))  # fmt: skip
    assert told["verdict"] == "deny"
    assert told["identity"]["claims"] == {"level": 3, "a": ["x", "y"], "on": "no"}
    assert [rule["source"] for rule in told["readings"][0]["rules"]] == [
        "the route's shorthands",
        "policy `engineers`",
        "the route's own policy",
        "the route's own policy",
    ]


def test_readings_that_disagree_are_both_shown(explain: Explain) -> None:
    said = explain("--url", "https://grafana.example.com/a;/..;/admin", "--email",
                   "boss@example.com", "--ip", "10.0.0.1")  # fmt: skip
    assert "REFUSED: bad-request\n  the readings of the path are decided differently" in said
    assert "read as /a;/..;/admin\n" in said
    assert "read as /admin\n" in said


@pytest.mark.parametrize(
    ("host", "options", "verdict"),
    [
        pytest.param("deploy", ("--provider", "ci", "--user", "bot"), "allow", id="program"),
        pytest.param("deploy", ("--provider", "ci", "--user", "ci/bot"), "allow", id="by its name"),
        pytest.param("deploy", ("--provider", "ci", "--user", "other"), "deny", id="another"),
        pytest.param("deploy", ("--user", "bot"), "deny", id="a person"),
        pytest.param("grafana", ("--provider", "ci", "--user", "bot"), "sign-in", id="elsewhere"),
    ],
)
def test_programs_with_a_token(
    explain: Explain, host: str, options: tuple[str, ...], verdict: str
) -> None:
    url = f"https://{host}.example.com/"
    assert json.loads(explain("--json", "--url", url, *options))["verdict"] == verdict


def test_nobody_and_nowhere(explain: Explain) -> None:
    said = explain("--url", "https://none.example.com/#fragment")
    assert "GET https://none.example.com/\n" in said
    assert "an anonymous client" in said
    assert "DENIED: route-not-found" in said


def test_a_header_that_could_be_taken_for_another(explain: Explain) -> None:
    said = explain("--url", "https://grafana.example.com/", "--header", "X.Auth.User: root")
    assert "DENIED: ambiguous-header\n" in said
    assert "  the header `x.auth.user` could be taken for `x-auth-user`\n" in said


def test_a_url_as_people_write_it(explain: Explain) -> None:
    said = explain("--url", "https://MÜNCHEN.example.com/ä?ö")
    assert "GET https://xn--mnchen-3ya.example.com/%C3%A4?%C3%B6\n" in said


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--url", "nowhere"), "not an absolute URL"),
        (("--url", "https://a.example/", "--ip", "1.2"), "`1.2` is not an address"),
        (("--url", "https://a.example/", "--at", "noon"), "`noon` is not a time"),
        (("--url", "https://a.example/", "--header", "x"), "`x` is not a header"),
        (("--url", "https://a.example/", "--claim", "x"), "`x` is not a claim"),
        ((), "--url"),
    ],
)
def test_wrong_usage(
    explain: Explain, capsys: pytest.CaptureFixture[str], options: Any, complaint: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        explain(*options)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_rules_that_are_wrong_are_not_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("http_path", "htp_path"))
    assert main(("explain", "--config", str(path), "--url", "https://grafana.example.com/")) == 2
    said = capsys.readouterr().err
    assert "did you mean `http_path`?" in said
    assert "NOT_SET_HERE" not in said


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_colours_on_a_terminal_alone(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads(explain("--json", "--url", "https://grafana.example.com/"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m✗\x1b[0m" in adapt_to_stream(render(told), _Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in adapt_to_stream(render(told), _Terminal())


def test_where_only_ascii_can_be_shown(explain: Explain) -> None:
    told = json.loads(explain("--json", "--url", "https://grafana.example.com/", "--user", "ünï"))
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    said = adapt_to_stream(render(told), ascii_only)
    assert said.isascii()
    assert "|- - or" in said


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", '""'), (" a", '" a"'), ("\x1b[1m", '"\\u001b[1m"'), ("\x9b", '"\\u009b"'),
     ([], "nothing"), (["a", 1], "a, 1"), ({"a": None}, "a: null"), (True, "true")],
)  # fmt: skip
def test_values_on_one_line(value: object, text: str) -> None:
    assert format_value(value) == text


MACHINES = """\
basic_auth: {users: "printer:$2b$05$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
"""
TAKES_MACHINES = """\
  - name: api
    from: https://api.example.com
    service_accounts: true
    policy: {allow: {or: [{user: {is: service-account/robot}}, {user: {is: htpasswd/printer}}]}}
"""


@pytest.mark.parametrize(
    ("provider", "user", "says"),
    [
        pytest.param("service-account", "robot", "ALLOWED", id="a service account"),
        pytest.param("service-account", "other", "DENIED", id="another one"),
        pytest.param("corp", "robot", "DENIED", id="a person of that name"),
        pytest.param("htpasswd", "printer", "is not accepted on this route", id="not taken here"),
    ],
)
def test_accounts_of_our_own(
    explain: Explain, tmp_path: Path, provider: str, user: str, says: str
) -> None:
    path = tmp_path / "c.yaml"
    written = path.read_text().replace("routes:\n", f"routes:\n{TAKES_MACHINES}")
    path.write_text(MACHINES + written)
    said = explain("--url", "https://api.example.com/", "--provider", provider, "--user", user)
    assert says in said
