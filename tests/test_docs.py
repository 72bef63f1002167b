"""The documentation names what there is, and what it names exists."""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from authz_sidecar import cli, errors
from authz_sidecar.config.documentation import json_schema, markdown
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.web.pages import Pages

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "node_modules", ".demo", ".git", ".pytest_cache"} & set(path.parts)
)


def configuration_keys(schema: Any) -> set[str]:
    """Every key that a configuration may have, however deep."""
    found: set[str] = set()
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            found |= set(properties)
        for value in schema.values():
            found |= configuration_keys(value)
    elif isinstance(schema, list):
        for value in schema:
            found |= configuration_keys(value)
    return found


def command_names() -> set[str]:
    """`serve`, `keys new` and so on, as the parser knows them."""
    names: set[str] = set()

    def visit(parser: argparse.ArgumentParser, prefix: str) -> None:
        actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not actions and prefix:
            names.add(prefix)
        for action in actions:
            for name, child in action.choices.items():
                visit(child, f"{prefix} {name}".strip())

    visit(cli._parser(), "")
    return names


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))


def test_the_configuration_reference_is_what_the_schema_says() -> None:
    assert markdown() == CONFIGURATION, "run `make docs`"


def test_every_configuration_key_is_documented() -> None:
    missing = {
        key
        for key in configuration_keys(json_schema())
        if not re.search(rf"\b{key}\b", CONFIGURATION)
    }
    assert not missing


def test_every_metric_is_documented_and_no_other() -> None:
    families = Metrics(version="0", with_process_metrics=False).snapshot()
    exported = {f"{f.name}_total" if f.kind == "counter" else f.name for f in families}
    assert exported == set(re.findall(r"`(authz_[a-z_]+)`", REFERENCE))


def test_every_command_is_documented_and_no_other() -> None:
    documented = {
        re.sub(r"[A-Z -]+$", "", name)
        for name in re.findall(r"^\| `authz-sidecar ([^`]+)` \|", REFERENCE, re.MULTILINE)
    }
    assert documented == command_names()


def test_every_error_is_documented_and_no_other() -> None:
    tree = {
        name
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.AuthzError)
    }
    section = REFERENCE.partition("## Errors")[2]
    assert tree == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_errors_are_documented_with_their_status() -> None:
    for name, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", REFERENCE, re.MULTILINE):
        assert getattr(errors, name).status == int(status), name


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    decision = (ROOT / "docs" / "decisions" / "0006-dependencies.md").read_text()

    def names(wanted: list[str]) -> list[str]:
        return [re.split(r"[^A-Za-z0-9-]", each)[0] for each in wanted]

    at_run_time = names(project["dependencies"])
    assert at_run_time == sorted(at_run_time)
    assert not {
        name for name in at_run_time if not re.search(rf"^\|.*\b{name}\b", decision, re.MULTILINE)
    }
    for extra in project["optional-dependencies"].values():
        others = set(names(extra)) - {project["name"]}
        assert not {name for name in others if not re.search(rf"\b{name}\b", decision)}


def test_every_room_is_on_the_map() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {path.name for path in (ROOT / "authz_sidecar").iterdir() if path.name[0] not in "._"}
    assert not {
        room
        for room in rooms - {"py.typed", "deploy"}
        if f"`{room}`" not in architecture and f"`{room}/`" not in architecture
    }


def test_the_policy_of_the_pages_is_documented() -> None:
    assert Pages.CONTENT_SECURITY_POLICY in REFERENCE


def test_every_decision_is_listed() -> None:
    decisions = ROOT / "docs" / "decisions"
    index = (decisions / "README.md").read_text()
    pages = sorted(path.name for path in decisions.glob("[0-9]*.md"))
    assert pages == re.findall(r"\(([0-9]{4}[^)]*\.md)\)", index)
    for number, page in enumerate(pages, start=1):
        assert page.startswith(f"{number:04}-")
        text = (decisions / page).read_text()
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
            "Alternatives",
        ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name) if name else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_shown_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"^(?:\$ )?make ([a-z-]+)|`make ([a-z-]+)", text, re.MULTILINE):
        assert (target[0] or target[1]) in make_targets(), target
    first_words = {name.split()[0] for name in command_names()}
    for command in re.findall(
        r"^authz-sidecar ([a-z-]+)|`authz-sidecar ([a-z-]+)", text, re.MULTILINE
    ):
        assert (command[0] or command[1]) in first_words, command


def test_the_readme_configuration_is_one(tmp_path: Path) -> None:
    """The example of the README, as an operator would copy it."""
    example = next(iter(re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)))
    path = tmp_path / "authz-sidecar.yaml"
    path.write_text(example)
    done = subprocess.run(
        [sys.executable, "-m", "authz_sidecar", "check", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"AUTHZ_SECRET_KEY": "k" * 43, "OIDC_CLIENT_SECRET": "s", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_endpoint_of_the_design_is_listed() -> None:
    for path in (
        "/auth/nginx",
        "/auth/nginx/challenge",
        "/auth/ingress-nginx",
        "/auth/traefik",
        "/auth/envoy/",
        "/auth/caddy",
        "/auth/haproxy",
        "/.auth/start",
        "/.auth/choose",
        "/.auth/callback",
        "/.auth/handover",
        "/.auth/sign_out",
        "/.auth/signed_out",
        "/.auth/sessions",
        "/.auth/sessions/revoke",
        "/.auth/backchannel-logout",
        "/.auth/frontchannel-logout",
        "/.auth/userinfo",
        "/.auth/jwks.json",
        "/.auth/static/",
        "/.well-known/pomerium/jwks.json",
        "/robots.txt",
        "/healthz",
        "/readyz",
        "/metrics",
        "/status",
    ):
        assert f"{path}" in REFERENCE, path
