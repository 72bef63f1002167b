from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from authz_sidecar import __version__
from authz_sidecar.cli import COMMANDS, main
from authz_sidecar.identity.assertion import signing_key_from_pem

SOUND = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "memory://"}
identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz, callback: own}}
routes:
  - {from: https://a.example.com, allow_any_authenticated_user: true}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty directory: its exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTHZ_SIDECAR_CONFIG", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else -1
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"authz-sidecar {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="no command"),
        pytest.param(("frobnicate",), id="unknown command"),
        pytest.param(("check", "--confg", "x"), id="unknown option"),
        pytest.param(("keys",), id="no action"),
        pytest.param(("serve", "--log-level", "loud"), id="unknown level"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "usage:" in err


def test_check_of_a_sound_configuration(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(SOUND)
    assert run("check") == (0, "authz-sidecar.yaml: sound, 1 route, 0 warnings\n", "")


def test_check_takes_the_path_from_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("elsewhere.yaml").write_text(SOUND)
    monkeypatch.setenv("AUTHZ_SIDECAR_CONFIG", "elsewhere.yaml")
    assert run("check")[1].startswith("elsewhere.yaml: sound")


def test_check_prefers_its_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("here.yaml").write_text(SOUND)
    monkeypatch.setenv("AUTHZ_SIDECAR_CONFIG", "elsewhere.yaml")
    assert run("check", "--config", "here.yaml")[1].startswith("here.yaml: sound")


def test_check_reports_schema_rules_and_policies_together(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(
        "secret_keys: [short]\n"
        "sessions: {store: 'memory://'}\n"
        "identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz, callback: own}}\n"
        "routes:\n"
        "  - from: https://a.example.com\n"
        "    polcy: []\n"
        "  - from: https://b.example.com\n"
        "    allow_public_unauthenticated_access: true\n"
        "    policy: [{allow: {or: [{emial: {is: x}}]}}]\n"
    )
    code, out, err = run("check")
    assert (code, out) == (2, "")
    lines = [line.removeprefix("authz-sidecar.yaml:") for line in err.splitlines()]
    assert lines[0].startswith("1:15: secret_keys[0]: has 5 bytes")
    assert any(line.startswith("6:5: routes[0].polcy: there is no such key") for line in lines)
    assert any("routes[1].policy[0].allow.or[0].emial: unknown criterion" in line for line in lines)
    assert lines[-1].endswith(" problems")


def test_check_tries_signing_keys(run: Run) -> None:
    Path("rsa.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert run("keys", "new", "--assertion", "--out", "ec.pem")[0] == 0
    Path("authz-sidecar.yaml").write_text(
        SOUND + "assertion: {signing_keys: [{file: ec.pem}, {file: rsa.pem}]}\n"
    )
    code, _, err = run("check")
    assert code == 2
    assert err == (
        "authz-sidecar.yaml:6:44: assertion.signing_keys[1]: is not an unencrypted EC private key"
        " on P-256\nauthz-sidecar.yaml: 1 problem\n"
    )


def test_check_reads_the_whole_store_url_and_shows_none_of_it(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(SOUND.replace("memory://", "redis://:hunter2@host:99999"))
    code, _, err = run("check")
    assert code == 2
    assert err.startswith("authz-sidecar.yaml:2:19: sessions.store: ")
    assert "hunter2" not in err


TWO_PROVIDERS = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "memory://"}
server: {auth_host: https://auth.example.com}
identity_providers:
  corp: {issuer: https://idp.example.com, client_id: authz}
  other: {issuer: https://other.example.com, client_id: authz, callback: own}
default_identity_provider: corp
routes:
  - {from: https://a.example.com, allow_any_authenticated_user: true}
"""


def test_check_of_several_providers_prints_the_old_and_the_new_redirect_uri(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(TWO_PROVIDERS)
    code, out, err = run("check")
    assert (code, out) == (2, "")
    first, second, last = err.splitlines()
    assert first.startswith(
        "authz-sidecar.yaml:5:3: identity_providers.corp.callback: must be `own`"
    )
    assert "was `https://auth.example.com/.auth/callback` and is now" in first
    assert "`https://auth.example.com/.auth/callback/corp`" in first
    assert second == (
        "`serve` starts, but sign-in with `corp` shows a page with the redirect URI to register"
    )
    assert last == "authz-sidecar.yaml: 1 problem"


def test_check_says_what_is_served_only_where_it_is(run: Run) -> None:
    broken = TWO_PROVIDERS.replace("routes:", "unheard_of: 1\nroutes:")
    Path("authz-sidecar.yaml").write_text(broken)
    code, _, err = run("check")
    assert code == 2
    assert "identity_providers.corp.callback: must be" in err
    assert "`serve` starts" not in err


def test_check_of_a_broken_provider_does_not_ask_for_its_redirect_uri(run: Run) -> None:
    broken = TWO_PROVIDERS.replace("client_id: authz}", "clientid: authz, callback: own}", 1)
    Path("authz-sidecar.yaml").write_text(broken)
    code, _, err = run("check")
    assert code == 2
    assert "callback" not in err


def test_check_with_broken_routes_says_both(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(f"{TWO_PROVIDERS}    policy: nonsense\n".replace(
        "allow_any_authenticated_user: true}\n    policy: nonsense", "policy: nonsense}"))  # fmt: skip
    code, _, err = run("check")
    assert code == 2
    assert "`serve --lenient` would accept this configuration and refuse" in err
    assert "`serve` starts, but sign-in with `corp`" in err


def test_check_of_one_provider_warns_that_its_redirect_uri_has_moved(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(SOUND.replace(", callback: own", ""))
    code, out, err = run("check")
    assert (code, out) == (0, "authz-sidecar.yaml: sound, 1 route, 1 warning\n")
    assert err.startswith("authz-sidecar.yaml:3:22: warning: identity_providers.corp: the redirect")
    assert "`https://a.example.com/.auth/callback/corp`" in err
    assert "`callback: shared`" in err


def test_warnings_are_no_failure(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(
        SOUND.replace("https://a.example.com", "http://a.localhost")
    )
    code, out, err = run("check")
    assert code == 0
    assert out == "authz-sidecar.yaml: sound, 1 route, 1 warning\n"
    assert err == (
        "authz-sidecar.yaml:5:12: warning: routes[0].from: sessions on `http://` have cookies"
        " without `Secure`\n"
    )


LINTED = SOUND.replace("allow_any_authenticated_user: true", "policy: {allow: {%s}}")


@pytest.mark.parametrize(
    ("adapters", "hinted"),
    [
        pytest.param("[haproxy]", True, id="haproxy"),
        pytest.param("[nginx, haproxy]", True, id="haproxy and another"),
        pytest.param("[nginx]", False, id="another"),
        pytest.param(None, False, id="none is named"),
    ],
)
def test_check_says_what_depends_on_the_version_of_a_proxy(
    run: Run, adapters: str | None, *, hinted: bool
) -> None:
    more = "" if adapters is None else f"server: {{adapters: {adapters}}}\n"
    Path("authz-sidecar.yaml").write_text(SOUND + more)
    code, out, err = run("check", "--strict")
    assert code == 0
    assert ("hint: AZ301: " in err, "1 hint" in out) == (hinted, hinted)


def test_check_shows_what_is_hardly_meant(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(LINTED % "or: [{email: [a, b]}], nor: [{user: c}]")
    code, out, err = run("check")
    assert (code, out) == (0, "authz-sidecar.yaml: sound, 1 route, 2 warnings, 1 hint\n")
    assert [" ".join(line.split()[1:3]) for line in err.splitlines()] == [
        "warning: AZ101:",
        "warning: AZ103:",
        "hint: AZ102:",
    ]
    assert run("check", "--strict")[0] == 1


def test_check_passes_over_what_a_comment_takes_away(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(
        LINTED.replace("policy: {", "policy: { # lint: ignore[AZ103]\n") % "or: [{email: [a, b]}]"
    )
    code, out, err = run("check", "--strict")
    assert (code, out, err) == (1, "authz-sidecar.yaml: sound, 1 route, 1 warning\n", err)
    Path("authz-sidecar.yaml").write_text(
        LINTED.replace("policy: {", "policy: {\n# lint: ignore[AZ103]\n") % "or: [{email: [a]}]"
    )
    assert run("check", "--strict")[0] == 0


def test_hints_are_no_failure_even_when_strict(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(LINTED % "nor: [{user: c}]")
    assert run("check", "--strict")[0] == 0


@pytest.mark.parametrize("command", ["check", "serve"])
def test_no_configuration(run: Run, command: str) -> None:
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert "authz-sidecar.yaml: cannot read this file: no such file or directory" in err


def test_serve_refuses_what_check_refuses(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(SOUND + "sever: {}\n")
    code, out, err = run("serve")
    assert (code, out) == (2, "")
    assert "there is no such key (did you mean `server`?)" in err


def test_schema(run: Run) -> None:
    code, out, _ = run("schema")
    assert code == 0
    assert set(json.loads(out)["required"]) == {"secret_keys", "sessions"}


def test_schema_as_a_page(run: Run) -> None:
    assert run("schema", "--markdown")[1].startswith("# Configuration\n")


def test_a_new_key_is_fresh_and_long_enough(run: Run) -> None:
    (_, one, _), (_, other, _) = run("keys", "new"), run("keys", "new")
    assert one != other
    assert len(one.strip()) == 43


def test_a_new_key_in_a_file_is_its_owners_alone(run: Run) -> None:
    old = os.umask(0)
    try:
        assert run("keys", "new", "--out", "key") == (0, "", "")
    finally:
        os.umask(old)
    assert stat.S_IMODE(Path("key").stat().st_mode) == 0o600
    assert len(Path("key").read_text()) == 44


def test_a_key_in_use_is_never_overwritten(run: Run) -> None:
    Path("key").write_text("in use")
    code, out, err = run("keys", "new", "--out", "key")
    assert (code, out) == (2, "")
    assert err == "authz-sidecar: `key` exists already and was not changed\n"
    assert Path("key").read_text() == "in use"


def test_a_key_that_cannot_be_written(run: Run) -> None:
    code, _, err = run("keys", "new", "--out", "nowhere/key")
    assert code == 2
    assert err == "authz-sidecar: cannot write `nowhere/key`: no such file or directory\n"


def test_a_new_signing_key_is_one_that_assertions_take(run: Run) -> None:
    code, out, _ = run("keys", "new", "--assertion")
    assert code == 0
    assert signing_key_from_pem(out.encode()).public_jwk["crv"] == "P-256"


def test_snippet_prints_every_file(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(
        SOUND + "headers: {preset: authelia, claims: {X-Department: department}}\n"
    )
    code, out, err = run("snippet", "haproxy")
    assert code == 0
    assert re.fullmatch(r"note: before HAProxy 3\.2 .* needs a `Content-Length`: .*\n", err)
    for there in ("# ==== haproxy.cfg", "-- ==== authz.lua", "del-header ^(?i)(remote|",
                  "del-header X-Department", "set-header Remote-Groups",
                  "set-header X-Department", "^(a[.]example[.]com)"):  # fmt: skip
        assert there in out
    assert "X-Auth-User " not in out


def test_snippet_writes_files_once(run: Run) -> None:
    Path("authz-sidecar.yaml").write_text(SOUND)
    assert run("snippet", "nginx", "--out", "nginx") == (0, "", "")
    assert "server_name a.example.com;" in Path("nginx/nginx.conf").read_text()
    code, _, err = run("snippet", "nginx", "--out", "nginx")
    assert code == 2
    assert "nginx.conf` exists already, nothing was written" in err


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        pytest.param("server: {listen: 'unix:/run/a'}", "haproxy cannot connect to a Unix socket",
                     id="unix"),
        pytest.param("sever: {}", "did you mean `server`?", id="schema"),
        pytest.param("policies: {a: [{alow: {}}]}", "alow", id="policy"),
    ],
)  # fmt: skip
def test_no_snippet_of_what_cannot_work(run: Run, addition: str, complaint: str) -> None:
    Path("authz-sidecar.yaml").write_text(f"{SOUND}{addition}\n")
    code, out, err = run("snippet", "haproxy")
    assert (code, out) == (2, "")
    assert complaint in err


def test_snippet_of_an_unknown_proxy(run: Run) -> None:
    assert run("snippet", "apache")[0] == 2


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "authz_sidecar", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_known_without_the_others(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"authz-sidecar {name}" in capsys.readouterr().out


def test_what_serves_is_without_what_other_commands_need() -> None:
    program = (
        "import sys, authz_sidecar.cli as cli; cli._parser(['serve']);"
        "print([name for name in sys.modules if name.startswith('authz_sidecar.migrate.pomerium')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout == "[]\n"
