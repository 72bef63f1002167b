"""What a proxy's files remove of a request, read from the files themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.yaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, kw_only=True)
class Removals:
    """`names` in lower case; `patterns` match whole names in lower case. `plain_only`: a name with
    anything but letters, digits and hyphens is dropped by the proxy itself."""

    names: frozenset[str]
    patterns: tuple[re.Pattern[str], ...] = ()
    plain_only: bool = False

    def remove(self, name: str) -> bool:
        lower = name.lower()
        if self.plain_only and not _PLAIN.fullmatch(lower):
            return True
        return lower in self.names or any(each.fullmatch(lower) for each in self.patterns)


def removals(proxy: str, files: Mapping[str, str]) -> Removals:
    return _PROXIES[proxy](files)


def _nginx(files: Mapping[str, str]) -> Removals:
    """Of a host that is not asked about; elsewhere the identity is set instead."""
    text = "".join(files[f"authz/{name}.conf"] for name in ("clear-client", "clear-identity"))
    names = re.findall(r'^proxy_set_header (\S+) "";$', text, re.MULTILINE)
    options = ("\nignore_invalid_headers on;\n", "\nunderscores_in_headers off;\n")
    return Removals(
        names=frozenset(map(str.lower, names)),
        plain_only=all(option in files["authz/http.conf"] for option in options),
    )


def _traefik(files: Mapping[str, str]) -> Removals:
    dynamic = parse_yaml(files["dynamic.yml"], file="dynamic.yml").data
    static = parse_yaml(files["traefik.yml"], file="traefik.yml").data
    entry = static["entryPoints"]["websecure"]["http"]
    assert entry["middlewares"] == ["authz-clear@file"]
    headers = dynamic["http"]["middlewares"]["authz-clear"]["headers"]["customRequestHeaders"]
    assert set(headers.values()) == {""}, "an empty value removes"
    # Traefik writes these itself, over what a client sent.
    own = {"x-forwarded-port", "x-forwarded-server", "x-real-ip"}
    return Removals(
        names=frozenset(map(str.lower, headers)) | own,
        plain_only=entry["aliasHeadersStrategy"] == "delete",
    )


def _envoy(files: Mapping[str, str]) -> Removals:
    rules = re.findall(r"^ {14}- (remove.*)$", files["envoy.yaml"], re.MULTILINE)
    names, patterns = set(), []
    for rule in rules:
        if found := re.fullmatch(r"remove: ([a-z0-9-]+)", rule):
            names.add(found[1])
        elif found := re.search(r"prefix: ([a-z0-9-]+) ", rule):
            patterns.append(re.compile(re.escape(found[1]) + ".*"))
        elif found := re.search(r'regex: "(.*)"', rule):
            patterns.append(re.compile(found[1]))
        else:
            raise AssertionError(rule)
    return Removals(names=frozenset(names), patterns=tuple(patterns))


def _caddy(files: Mapping[str, str]) -> Removals:
    text = files["Caddyfile"]
    block = text[text.index("(authz_clear) {") : text.index("(authz) {")]
    rules = re.findall(r"^\trequest_header -(\S+)$", block, re.MULTILINE)
    patterns = []
    for rule in rules:
        inner = re.escape(rule.strip("*") or "*")
        front, back = (".*" if rule[at] == "*" else "" for at in (0, -1))
        patterns.append(re.compile(f"{front}{inner}{back}".lower()))
    return Removals(names=frozenset(), patterns=tuple(patterns))


def _haproxy(files: Mapping[str, str]) -> Removals:
    text = files["haproxy.cfg"]
    frontend = text[text.index("frontend https") : text.index("backend app")]
    names = re.findall(r"^    http-request del-header ([A-Za-z0-9-]+)$", frontend, re.MULTILINE)
    written = re.findall(r"del-header \^\(\?i\)(\S+) -m reg$", frontend, re.MULTILINE)
    return Removals(
        names=frozenset(map(str.lower, names)),
        patterns=tuple(map(re.compile, written)),
        plain_only="\n    option http-restrict-req-hdr-names delete\n" in frontend,
    )


_PROXIES: dict[str, Callable[[Mapping[str, str]], Removals]] = {
    "nginx": _nginx,
    "traefik": _traefik,
    "envoy": _envoy,
    "caddy": _caddy,
    "haproxy": _haproxy,
}
