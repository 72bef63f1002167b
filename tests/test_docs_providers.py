"""The examples of `docs/providers.md` are configurations, and there is one for each kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from authz_sidecar import cli
from authz_sidecar.config.load import examine_config
from authz_sidecar.provider_presets import PROVIDER_PRESETS
from tests.login.provider_documents import client_key_pem

PAGE = (Path(__file__).parent.parent / "docs" / "providers.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {
    title: re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) for title, text in SECTIONS.items()
}
ENVIRONMENT = {"OIDC_CLIENT_SECRET": "s", "GOOGLE_SECRET": "s", "GITHUB_SECRET": "s"}
USUAL = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "redis://127.0.0.1:6379/0"}
"""
ROUTES = "routes: [{from: https://app.example.com, allow_any_authenticated_user: true}]\n"


def test_every_kind_has_a_section_with_one_example() -> None:
    assert SECTIONS.keys() - {"For all of them"} == PROVIDER_PRESETS.keys()
    assert {title: len(examples) for title, examples in EXAMPLES.items()} == dict.fromkeys(
        SECTIONS, 1
    )


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_examples_pass_check(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    [example] = EXAMPLES[title]
    (tmp_path / "client-key.pem").write_text(client_key_pem())
    path = tmp_path / "authz-sidecar.yaml"
    path.write_text(USUAL + example + ("" if "routes:" in example else ROUTES))
    assert cli.main(["check", "--config", str(path), "--strict"]) == 0, capsys.readouterr()
    config = examine_config(path, env=ENVIRONMENT).config
    assert config is not None
    if title in PROVIDER_PRESETS:
        [provider] = config.identity_providers.values()
        assert provider.type == title


@pytest.mark.parametrize("kind", PROVIDER_PRESETS)
def test_every_kind_is_in_the_table(kind: str) -> None:
    assert f"\n| `{kind}` |" in PAGE


@pytest.mark.parametrize(
    "text", ["-----BEGIN PRIVATE KEY-----\\nAA\\n-----END PRIVATE KEY-----", "x"]
)
def test_check_says_of_a_key_that_nothing_can_be_signed_with_it(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "authz-sidecar.yaml"
    path.write_text(
        f"{USUAL}{ROUTES}identity_providers: {{corp: {{issuer: https://idp.example.com,"
        f' client_id: x, client_key: "{text}"}}}}\n'
    )
    assert cli.main(["check", "--config", str(path)]) == 2
    said = capsys.readouterr().err
    assert "identity_providers.corp.client_key: is not a private key in PEM" in said
    assert "1 problem" in said
