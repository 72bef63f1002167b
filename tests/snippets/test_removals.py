"""What deploy/README.md promises to remove is removed by the files, the shipped and the written ones:
every proxy, every name, every character of a token."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from authz_sidecar.core.untrusted_headers import (
    UNTRUSTED_FAMILIES,
    UNTRUSTED_NAMES,
    UNTRUSTED_PREFIXES,
)
from authz_sidecar.identity.headers import PRESETS, managed_header_names
from authz_sidecar.snippets import PROXIES, render_snippet
from authz_sidecar.snippets.write import deploy_directory
from tests.header_names import SEPARATORS, respelled
from tests.snippets.removing import removals
from tests.snippets.test_write import MINE

DEPLOY = deploy_directory()
PLAIN = tuple(proxy for proxy in PROXIES if proxy != "ingress-nginx")
BY_FAMILY = ("envoy", "caddy", "haproxy")
CLAIMS = {"X-Department": "department", "Client-Cert-Owner": "owner"}
README = (DEPLOY / "README.md").read_text(encoding="utf-8")

# Every one that cannot be told from a header of the application's own by its name.
OTHERS = ("X-Team", "Authorization", "Cookie", "X-Requested-With", "Proxy-Authorization", "Origin")


def shipped(proxy: str) -> dict[str, str]:
    root = DEPLOY / proxy
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in root.rglob("*")
        if path.is_file()
    }


def written(proxy: str, preset: str) -> dict[str, str]:
    headers = managed_header_names(preset, CLAIMS)
    return render_snippet(proxy, replace(MINE, headers=headers)).files


def promised() -> dict[str, list[str]]:
    """The table of the README: what each family could pass for, and its headers."""
    section = README[README.index("## Headers that no client may bring") :]
    rows = re.findall(r"^\| ([A-Z][^|]*) \| (`.*`) \|$", section, re.MULTILINE)
    return {title: re.findall(r"`([^`]+)`", names) for title, names in rows}


def test_the_readme_lists_what_the_code_does() -> None:
    assert promised() == {
        family.title: [*(f"{prefix}*" for prefix in family.prefixes), *family.names]
        for family in UNTRUSTED_FAMILIES
    }


@pytest.mark.parametrize("proxy", PLAIN)
def test_what_the_readme_lists_is_removed(proxy: str) -> None:
    removed = removals(proxy, shipped(proxy))
    for names in promised().values():
        for name in names:
            if not name.endswith("*"):
                assert removed.remove(name), name
            elif proxy in BY_FAMILY:
                assert removed.remove(f"{name.removesuffix('*')}Anything"), name


@pytest.mark.parametrize("proxy", PLAIN)
def test_other_headers_stay(proxy: str) -> None:
    removed = removals(proxy, shipped(proxy))
    assert [name for name in OTHERS if removed.remove(name)] == []


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("proxy", PLAIN)
def test_every_managed_and_every_listed_name_is_removed(proxy: str, preset: str) -> None:
    removed = removals(proxy, written(proxy, preset))
    managed = managed_header_names(preset, CLAIMS)
    families = [f"{prefix}Anything" for prefix in UNTRUSTED_PREFIXES] if proxy in BY_FAMILY else []
    kept = [name for name in (*managed, *UNTRUSTED_NAMES, *families) if not removed.remove(name)]
    assert kept == []


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("proxy", PLAIN)
def test_no_managed_name_passes_in_another_spelling(proxy: str, preset: str) -> None:
    removed = removals(proxy, written(proxy, preset))
    for name in (*managed_header_names(preset, CLAIMS), *UNTRUSTED_NAMES):
        for separator in SEPARATORS:
            kept = [other for other in respelled(name, separator) if not removed.remove(other)]
            assert kept == []


@pytest.mark.parametrize("preset", PRESETS)
def test_nginx_sets_what_it_does_not_clear(preset: str) -> None:
    """Two lines about one header in one location: which of them counts is nginx's business."""
    files = written("nginx", preset)
    managed = {name.lower() for name in managed_header_names(preset, CLAIMS)}
    cleared = re.findall(r"^proxy_set_header (\S+)", files["authz/clear-client.conf"], re.MULTILINE)
    assert not managed & {name.lower() for name in cleared}
    assert len({name.lower() for name in cleared}) == len(cleared)
    for name in managed:
        assert f"proxy_set_header {name}" in files["authz/protect.conf"].lower()


@pytest.mark.parametrize("proxy", PLAIN)
def test_no_name_is_removed_twice(proxy: str) -> None:
    """In YAML a key that comes twice is an error; elsewhere it is one too many to read."""
    for preset in PRESETS:
        text = "\n".join(written(proxy, preset).values())
        rules = re.findall(
            r'^\s*(?:http-request del-header|request_header|- remove:) .*$|^ +\S+: ""$',
            text,
            re.MULTILINE,
        )
        once = [rule for rule in rules if "Connection" not in rule and "Upgrade" not in rule]
        assert len(set(once)) == len(once)
