"""The examples of `docs/machines.md`, as an operator would copy them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.config.checks.warnings import find_warnings
from authz_sidecar.config.load import load_config
from authz_sidecar.routes_from_config import compile_routes

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Config

PAGE = (Path(__file__).parents[2] / "docs" / "machines.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(token_issuers:\n.*?)```", PAGE, re.DOTALL)
BASE = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "redis://127.0.0.1:6379/0"}
identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz, callback: own}}
"""


def loaded(text: str, directory: Path) -> Config:
    secret = directory / "introspection"
    secret.write_text("secret")
    path = directory / "authz-sidecar.yaml"
    path.write_text(BASE + text.replace("/run/secrets/introspection", str(secret)))
    return load_config(path, env={})


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[1].strip(" :"))
def test_an_example_is_a_configuration(example: str, tmp_path: Path) -> None:
    config = loaded(example, tmp_path)
    assert not compile_routes(config).problems
    usual = ("there are no routes", "no route accepts its tokens")
    found = [each.message for each in find_warnings(config)]
    assert not [message for message in found if not any(word in message for word in usual)]
