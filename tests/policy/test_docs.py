"""The reference of the language names what there is, and what it shows works.

An example of a policy is put on a route of its own, an example of routes is a whole configuration
less its secrets, and cases run against the example before them.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.cli import main
from authz_sidecar.config.records import parse_redis_hash
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.policy.criteria import BUILDERS
from authz_sidecar.policy.lint import CODES
from authz_sidecar.policy.matchers import LIST_OPERATORS, STRING_OPERATORS
from authz_sidecar.policy.reasons import CODES as REASONS
from authz_sidecar.policy.vectors import load_policy
from authz_sidecar.sessions.redis import RedisHash
from authz_sidecar.sessions.store_url import parse_store_url
from tests.policy.test_ppl_vectors import WHERE

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

AROUND = """\
server: {adapters: [traefik], client_certificate: {header: X-Client-Cert, format: traefik}}
identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz, callback: own}}
"""
ONE_ROUTE = f"{AROUND}routes:\n- name: app\n  from: https://app.example.com\n  policy:\n"
EVALUATED = "# policy eval only"


def configuration(example: str) -> str:
    if re.search(r"^(?:routes|policies):", example, re.MULTILINE):
        return AROUND + example
    return ONE_ROUTE + "".join(f"    {line}\n" for line in example.splitlines())


def examples() -> tuple[list[Any], list[Any], list[Any]]:
    """Policies and routes; cases and commands, each with the configuration that they are about."""
    whole, cases, commands = [], [], []
    current = ""
    for number, (language, text) in enumerate(BLOCKS):
        if language == "sh":
            continue
        if language == "console":
            commands.append(pytest.param(current, text, id=f"block {number}"))
        elif text.startswith("cases:"):
            cases.append(pytest.param(current, text, id=f"block {number}"))
        elif not text.startswith(EVALUATED):
            current = configuration(text)
            whole.append(pytest.param(current, id=f"block {number}"))
    return whole, cases, commands


WHOLE, CASES, COMMANDS = examples()


def test_there_are_examples_of_every_kind() -> None:
    assert {language for language, _ in BLOCKS} == {"yaml", "console", "sh"}
    assert len(WHOLE) > 10
    assert len(CASES) > 8
    assert COMMANDS


@pytest.mark.parametrize("example", WHOLE)
def test_examples_load(example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        f'{example}\nsecret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]\nsessions: {{store: "memory://"}}\n'
    )
    assert main(("check", "--config", str(path))) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("example", "cases"), CASES)
def test_cases_pass(
    example: str, cases: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(example)
    (tmp_path / "c.test.yaml").write_text(cases)
    code = main(("policy", "test", "--config", str(tmp_path / "c.yaml")))
    said = capsys.readouterr()
    assert code == 0, said.out + said.err


@pytest.mark.parametrize(("example", "session"), COMMANDS)
def test_commands_print_what_is_shown(
    example: str,
    session: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("authz-sidecar.yaml").write_text(example.removeprefix(AROUND) + AROUND)
    line, _, shown = session.partition("\n")
    assert main(shlex.split(line.removeprefix("$ authz-sidecar "))) == 0
    assert capsys.readouterr().out == shown


async def test_a_table_is_written_to_redis_as_shown(redis_server: RedisServer) -> None:
    ((_, text),) = [block for block in BLOCKS if block[0] == "sh"]
    key = shlex.split(text)[2]
    redis_server.command(*shlex.split(text)[1:])
    kept = RedisHash.from_location(parse_store_url(redis_server.url), key=key)
    try:
        assert parse_redis_hash(await kept.read(), by="user").keys() == {"u1", "u2"}
    finally:
        await kept.aclose()
        redis_server.flush()


def test_what_is_for_evaluation_alone_loads_there() -> None:
    alone = [text for _, text in BLOCKS if text.startswith(EVALUATED)]
    assert alone
    for text in alone:
        load_policy(parse_yaml(text, file="p").data, source_map=WHERE)


def test_every_lint_code_is_documented_as_it_is_said() -> None:
    rows = re.findall(r"^\| `(AZ\d+)` \| (\w+) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, each.severity, each.message, each.fix) for name, each in CODES.items()]


@pytest.mark.parametrize("name", [*BUILDERS, *STRING_OPERATORS, *LIST_OPERATORS, *REASONS])
def test_everything_is_named(name: str) -> None:
    assert re.search(rf"`{name}(?:/NAME)?`", PAGE)
