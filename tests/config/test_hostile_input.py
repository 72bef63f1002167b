"""Files that would like to be a machine's last: refused, in words, in bounded time and memory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.config.load import examine_config
from authz_sidecar.config.validation import MAX_PROBLEMS
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.regex import RegexError, compile_full_match
from tests.routes.settings import RouteSpec, compile_routes

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = 500
SECONDS = 60

# The check runs by itself: its limits are its own, and so is its peak, which the kernel keeps.
CHECK = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
from authz_sidecar.cli import main
code = main(["check", "--config", sys.argv[1]])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) >> 10)
"""


def bomb(levels: int) -> str:
    lines = (f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]\n" for at in range(1, levels))
    return "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(lines)


def merge_bomb(levels: int) -> str:
    lines = (
        f"a{at}: &a{at} {{<<: [{', '.join([f'*a{at - 1}'] * 10)}], k{at}: *a{at - 1}}}\n"
        for at in range(1, levels)
    )
    return "a0: &a0 {k: v}\n" + "".join(lines)


SOUND = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "memory://"}
identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz}}
"""
MANY = 100_000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(bomb(12), ":7:10: more than 2000000 values, aliases counted", id="bomb"),
        pytest.param(merge_bomb(30), "more than 2000000 values, aliases counted", id="merge keys"),
        pytest.param("#" * (50 << 20), "the configuration is larger than 32 MiB", id="50 MB"),
        pytest.param("k" * (20 << 20) + ": 1\n", "not valid yaml", id="20 MB of a key"),
        pytest.param("[" * 200, ":1:65: nested deeper than 64 levels", id="deep"),
        pytest.param("[" * 1_000_000, ": 1 problem\n", id="a million deep"),
        pytest.param("".join(f"{' ' * at}a:\n" for at in range(2000)), "nested deeper than 64",
                     id="deep blocks"),
        pytest.param("{a: " * 63 + "&x {}" + "}" * 63 + "\n", "there is no such key", id="just so deep"),
        pytest.param("a: 1\n" * MANY, "1000 problems so far, the rest was not read",
                     id="one key many times"),
        pytest.param("".join(f"k{at}: 1\n" for at in range(3 * MANY)),
                     ":200001:1: more than 200000 keys in one map", id="many keys"),
        pytest.param(f"x: [{'{env: NOWHERE}, ' * MANY}]", "1000 problems so far", id="references"),
        pytest.param(f"{SOUND}routes:\n" + "  - {from: 'https://a.example.com', polcy: 1}\n" * MANY,
                     "more than 1000 problems, the first are shown", id="a mistake in every route"),
        pytest.param(f"{SOUND}policies: {{p: [{'{allow: {or: [{emial: x}]}}, ' * 20_000}]}}",
                     "unknown criterion", id="a mistake in every rule"),
        pytest.param(f"{SOUND}variables: {{a: {'y' * 8000}}}\n"
                     f"routes: [{{from: {{text: '{'{a}' * 1000}'}}}}]",
                     "expands to more than 8192 characters", id="text from variables"),
        pytest.param(f"{SOUND}routes: [{{from: 'https://a.example.com',"
                     " regex: '((a{1000}){1000}){1000}'}]", "is not a pattern", id="huge pattern"),
        pytest.param(f"{SOUND}routes: [{{from: 'https://a.example.com', regex: '{'(a|' * 200}'}}]",
                     "is not a pattern", id="broken pattern"),
        pytest.param(f"{SOUND}routes: [{{from: 'https://a.example.com', regex: '{'a' * 1001}'}}]",
                     "a pattern of more than 1000 characters", id="long pattern"),
        pytest.param(f"a: {'9' * 1_000_000}\n", "there is no such key", id="long number"),
    ],
)  # fmt: skip
def test_refused_within_bounds(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "authz-sidecar.yaml"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    code, megabytes = map(int, done.stdout.split()[-2:])
    assert code == 2
    assert complaint in done.stderr
    assert len(done.stderr) < 20 << 20
    assert megabytes < MEGABYTES


def test_the_first_thousand_problems_are_told(tmp_path: Path) -> None:
    path = tmp_path / "authz-sidecar.yaml"
    path.write_text(f"{SOUND}routes:\n" + "  - {from: 5}\n" * (MAX_PROBLEMS + 500))
    problems = examine_config(path, env={}).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert any(problem.message.startswith("routes[999].from") for problem in problems)


def test_a_mistake_behind_the_first_thousand_routes_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "authz-sidecar.yaml"
    sound = "  - {from: https://a.example.com, allow_any_authenticated_user: true}\n"
    path.write_text(f"{SOUND}routes:\n{sound * 2500}  - {{from: 5}}\n{sound}")
    [problem] = examine_config(path, env={}).problems
    assert (problem.line, problem.message) == (
        2505,
        "routes[2500].from: must be text, put it in quotes",
    )
    sane = path.read_text().replace("{from: 5}", "{from: https://b.example.com, policies: p}")
    path.write_text(sane)
    config = examine_config(path, env={}).config
    assert config is not None
    assert len(config.routes) == 2502
    assert config.routes[2500].policies == ("p",)


# Each doubles a backtracking engine's work with every letter.
@pytest.mark.parametrize("pattern", ["/(a+)+b", "/(a|aa)+b", "/(a|a?)+b", "/(.*)*b", "/a{0,900}b"])
def test_no_pattern_is_slow(pattern: str) -> None:
    path = "/" + "a" * 50_000
    assert not compile_full_match(pattern)(path)
    index = compile_routes(RouteSpec(regex=pattern, allow_any_authenticated_user=True)).index
    assert index.match(Origin("https", "app.example.com"), path) is None


@pytest.mark.parametrize("pattern", ["((a{100}){100}){100}", r"(\pL{500}){100}", "(" * 1000])
def test_no_pattern_is_large(pattern: str) -> None:
    with pytest.raises(RegexError):
        compile_full_match(pattern)
