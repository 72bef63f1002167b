"""Formats the report of an import for the operator."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.source_locations import format_path
from authz_sidecar.migrate.pomerium.report import ConversionOutcome, ProxyFeature
from authz_sidecar.migrate.pomerium.route_options import ROUTE_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.migrate.pomerium.convert import ConversionResult
    from authz_sidecar.migrate.pomerium.report import DocumentPath, ReportEntry
    from authz_sidecar.migrate.pomerium.route_precedence import RoutePosition

_MAX_VALUE_LENGTH = 80

_UNCHANGED = frozenset(
    handling
    for handling in ROUTE_OPTIONS.values()
    if handling.outcome is ConversionOutcome.TRANSLATED and not handling.secret
)
_PASSWORD = re.compile(r"(?<=//)[^/@\s]*@")

# Where each part is in the files of `deploy/`, which `authz-sidecar snippet PROXY` writes for a
# configuration's own hosts.
PROXY_FILES = {
    "nginx": "nginx.conf",
    "traefik": "dynamic.yml",
    "envoy": "envoy.yaml",
    "caddy": "Caddyfile",
    "haproxy": "haproxy.cfg",
}
FEATURE_DIRECTIVES: dict[ProxyFeature, tuple[str, str, str, str, str]] = {
    ProxyFeature.UPSTREAM: ("proxy_pass, upstream", "services", "clusters", "reverse_proxy", "backend"),
    ProxyFeature.REWRITE: ("proxy_pass, rewrite, Host", "middlewares", "route", "rewrite", "http-request"),
    ProxyFeature.RESPONSE: ("return", "redirectRegex", "redirect, direct_response", "redir, respond",
                  "http-request redirect, return"),
    ProxyFeature.REQUEST_HEADERS: ("proxy_set_header", "headers", "request_headers_to_remove",
                           "request_header", "http-request"),
    ProxyFeature.RESPONSE_HEADERS: ("add_header", "headers", "response_headers_to_add", "header",
                            "http-response"),
    ProxyFeature.TIMEOUTS: ("proxy_read_timeout", "serversTransports", "timeout", "transport", "timeout"),
    ProxyFeature.UPGRADES: ("authz/app.conf: there already", "always on", "upgrade_configs", "always on",
                    "always on"),
    ProxyFeature.UPSTREAM_TLS: ("proxy_ssl_*", "serversTransports", "transport_socket", "transport",
                        "server ssl"),
    ProxyFeature.LISTENER: ("listen, ssl_certificate", "traefik.yml: entryPoints", "listeners", "tls", "bind"),
    ProxyFeature.CLIENT_CERTIFICATES: ("ssl_verify_client", "tls.options.clientAuth",
                               "require_client_certificate", "client_auth", "bind verify"),
    ProxyFeature.CLIENT_ADDRESS: ("authz/question.conf: X-Forwarded-For", "traefik.yml: forwardedHeaders", "xff_num_trusted_hops",
                          "trusted_proxies", "option forwardfor"),
    ProxyFeature.LOGS: ("access_log", "traefik.yml: accessLog", "access_log", "log", "log-format"),
}  # fmt: skip


def format_report(imported: ConversionResult) -> str:
    """Return the report as text, one section for each kind of entry."""
    sections = (
        _precedence_changes(imported),
        _decisive(imported),
        _remarks(imported),
        _proxy_work(imported),
        _outcome_section(
            imported, ConversionOutcome.UNSUPPORTED, "NOT SUPPORTED: what to do instead"
        ),
        _outcome_section(imported, ConversionOutcome.NOT_NEEDED, "NOT NEEDED: why"),
        _outcome_section(imported, ConversionOutcome.TRANSLATED, "TRANSLATED: into what"),
        _unchanged_options(imported),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section))) + "\n"


def _precedence_changes(imported: ConversionResult) -> Iterator[str]:
    if not imported.precedence_changes:
        return
    yield "DIFFERENT ROUTE: Pomerium takes the first route that matches, here the most specific wins"
    source_map = imported.report.source_map
    for change in imported.precedence_changes:
        file, line, column = source_map.location_of(*change.later.path)
        yield f"  {file}:{line}:{column}: {_format_position(change.later)}"
        yield f"    now takes precedence over {_format_position(change.earlier)} on line {source_map.location_of(*change.earlier.path)[1]}"


def _format_position(route: RoutePosition) -> str:
    return f"`{route.name}` ({route.host}, {route.paths})"


def _decisive(imported: ConversionResult) -> Iterator[str]:
    if entries := imported.report.decisive:
        yield "DECIDE FIRST: who may pass depends on it"
        yield from _format_entries(entries, imported)


def _remarks(imported: ConversionResult) -> Iterator[str]:
    if remarks := imported.report.remarks:
        yield "TO DO"
        yield from (f"  - {remark}" for remark in remarks)


def _proxy_work(imported: ConversionResult) -> Iterator[str]:
    entries = list(imported.report.with_outcome(ConversionOutcome.PROXY_WORK))
    if not entries:
        return
    yield "PROXY WORK: in the files of deploy/PROXY, as `authz-sidecar snippet PROXY` writes them"
    by_route: dict[DocumentPath, list[ReportEntry]] = {}
    for entry in entries:
        by_route.setdefault(entry.path[:2] if len(entry.path) > 2 else (), []).append(entry)
    for route, of_route in sorted(
        by_route.items(), key=lambda directive: [str(step).zfill(9) for step in directive[0]]
    ):
        yield f"  route `{imported.route_names.get(route, '?')}`" if route else "  everywhere"
        for entry in of_route:
            yield f"    {_format_entry(entry)} [{entry.disposition.proxy_feature}]"
    yield "  where:"
    used = {entry.disposition.proxy_feature for entry in entries}
    for feature, directives in FEATURE_DIRECTIVES.items():
        if feature in used:
            directives_by_proxy = zip(PROXY_FILES.items(), directives, strict=True)
            locations = (
                f"{proxy} {directive if ': ' in directive else f'{file}: {directive}'}"
                for (proxy, file), directive in directives_by_proxy
            )
            yield f"    [{feature}] {'; '.join(locations)}"


def _outcome_section(
    imported: ConversionResult, outcome: ConversionOutcome, title: str
) -> Iterator[str]:
    entries = [
        entry
        for entry in imported.report.with_outcome(outcome)
        if not entry.disposition.decisive and not _is_unchanged(entry)
    ]
    if entries:
        yield title
        yield from _format_entries(entries, imported)


def _is_unchanged(entry: ReportEntry) -> bool:
    """Whether an option of a route is what the option of the same kind is here."""
    return len(entry.path) == 3 and entry.disposition in _UNCHANGED


def _unchanged_options(imported: ConversionResult) -> Iterator[str]:
    routes: dict[DocumentPath, list[str]] = {}
    for entry in imported.report.with_outcome(ConversionOutcome.TRANSLATED):
        if _is_unchanged(entry):
            routes.setdefault(entry.path[:2], []).append(str(entry.path[2]))
    if routes:
        yield "ROUTES, and which of their options are translated"
    for path, names in routes.items():
        file, line, column = imported.report.source_map.location_of(*path)
        yield f"  {file}:{line}:{column}: `{imported.route_names.get(path, '?')}`: {', '.join(names)}"


def _format_entries(entries: Iterable[ReportEntry], imported: ConversionResult) -> Iterator[str]:
    for entry in sorted(entries, key=lambda item: item.location):
        file, line, column = entry.location
        route = imported.route_names.get(entry.path[:2])
        of_route = f" (`{route}`)" if route and len(entry.path) > 2 else ""
        yield f"  {file}:{line}:{column}: {_format_entry(entry)}{of_route}"


def _format_entry(entry: ReportEntry) -> str:
    name = format_path(entry.path[2:] if len(entry.path) > 2 else entry.path)
    return f"{name}{_format_value(entry)}: {entry.disposition.text}"


def _format_value(entry: ReportEntry) -> str:
    if entry.disposition.outcome is not ConversionOutcome.PROXY_WORK:
        return ""
    text = entry.value if isinstance(entry.value, str) else json.dumps(entry.value, default=str)
    text = _PASSWORD.sub("…@", " ".join(text.split()))
    return f" = {text if len(text) <= _MAX_VALUE_LENGTH else text[:_MAX_VALUE_LENGTH] + '…'}"
