"""The report of an import, for the person who does the rest."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from authz_sidecar.core.source_locations import written
from authz_sidecar.migrate.pomerium.report import Outcome, Work
from authz_sidecar.migrate.pomerium.route_options import ROUTE_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.migrate.pomerium.convert import Imported
    from authz_sidecar.migrate.pomerium.report import Entry, Path
    from authz_sidecar.migrate.pomerium.route_precedence import Standing

_LONGEST = 80

_AS_IT_IS = frozenset(
    handling
    for handling in ROUTE_OPTIONS.values()
    if handling.outcome is Outcome.TRANSLATED and not handling.secret
)
_PASSWORD = re.compile(r"(?<=//)[^/@\s]*@")

# Where each part is in the files of `deploy/`, which `authz-sidecar snippet PROXY` writes for a
# configuration's own hosts.
FILES = {
    "nginx": "nginx.conf",
    "traefik": "dynamic.yml",
    "envoy": "envoy.yaml",
    "caddy": "Caddyfile",
    "haproxy": "haproxy.cfg",
}
PLACES: dict[Work, tuple[str, str, str, str, str]] = {
    Work.UPSTREAM: ("proxy_pass, upstream", "services", "clusters", "reverse_proxy", "backend"),
    Work.REWRITE: ("proxy_pass, rewrite, Host", "middlewares", "route", "rewrite", "http-request"),
    Work.ANSWER: ("return", "redirectRegex", "redirect, direct_response", "redir, respond",
                  "http-request redirect, return"),
    Work.REQUEST_HEADERS: ("proxy_set_header", "headers", "request_headers_to_remove",
                           "request_header", "http-request"),
    Work.RESPONSE_HEADERS: ("add_header", "headers", "response_headers_to_add", "header",
                            "http-response"),
    Work.TIMEOUTS: ("proxy_read_timeout", "serversTransports", "timeout", "transport", "timeout"),
    Work.UPGRADES: ("authz/app.conf: there already", "always on", "upgrade_configs", "always on",
                    "always on"),
    Work.UPSTREAM_TLS: ("proxy_ssl_*", "serversTransports", "transport_socket", "transport",
                        "server ssl"),
    Work.LISTENER: ("listen, ssl_certificate", "traefik.yml: entryPoints", "listeners", "tls", "bind"),
    Work.CLIENT_CERTIFICATES: ("ssl_verify_client", "tls.options.clientAuth",
                               "require_client_certificate", "client_auth", "bind verify"),
    Work.CLIENT_ADDRESS: ("authz/question.conf: X-Forwarded-For", "traefik.yml: forwardedHeaders", "xff_num_trusted_hops",
                          "trusted_proxies", "option forwardfor"),
    Work.LOGS: ("access_log", "traefik.yml: accessLog", "access_log", "log", "log-format"),
}  # fmt: skip


def report(imported: Imported) -> str:
    sections = (
        _changed(imported),
        _decisive(imported),
        _remarks(imported),
        _proxy_work(imported),
        _plain(imported, Outcome.UNSUPPORTED, "NOT SUPPORTED: what to do instead"),
        _plain(imported, Outcome.NOT_NEEDED, "NOT NEEDED: why"),
        _plain(imported, Outcome.TRANSLATED, "TRANSLATED: into what"),
        _as_they_are(imported),
    )
    return "\n\n".join("\n".join(lines) for it in sections if (lines := list(it))) + "\n"


def _changed(imported: Imported) -> Iterator[str]:
    if not imported.changed:
        return
    yield "OTHER ROUTE ANSWERS: Pomerium takes the first that fits, here the most specific wins"
    where = imported.ledger.where
    for pair in imported.changed:
        file, line, column = where.at(*pair.now.at)
        yield f"  {file}:{line}:{column}: {_standing(pair.now)}"
        yield f"    now answers before {_standing(pair.before)} on line {where.at(*pair.before.at)[1]}"


def _standing(route: Standing) -> str:
    return f"`{route.name}` ({route.host}, {route.paths})"


def _decisive(imported: Imported) -> Iterator[str]:
    if entries := imported.ledger.decisive:
        yield "DECIDE FIRST: who may pass depends on it"
        yield from _told(entries, imported)


def _remarks(imported: Imported) -> Iterator[str]:
    if remarks := imported.ledger.remarks:
        yield "TO DO"
        yield from (f"  - {remark}" for remark in remarks)


def _proxy_work(imported: Imported) -> Iterator[str]:
    entries = list(imported.ledger.of(Outcome.PROXY))
    if not entries:
        return
    yield "PROXY WORK: in the files of deploy/PROXY, as `authz-sidecar snippet PROXY` writes them"
    by_route: dict[Path, list[Entry]] = {}
    for entry in entries:
        by_route.setdefault(entry.path[:2] if len(entry.path) > 2 else (), []).append(entry)
    for route, of_route in sorted(
        by_route.items(), key=lambda it: [str(step).zfill(9) for step in it[0]]
    ):
        yield f"  route `{imported.names.get(route, '?')}`" if route else "  everywhere"
        for entry in of_route:
            yield f"    {_line(entry)} [{entry.handling.work}]"
    yield "  where:"
    used = {entry.handling.work for entry in entries}
    for work, places in PLACES.items():
        if work in used:
            named = zip(FILES.items(), places, strict=True)
            told = (f"{p} {it if ': ' in it else f'{file}: {it}'}" for (p, file), it in named)
            yield f"    [{work}] {'; '.join(told)}"


def _plain(imported: Imported, outcome: Outcome, title: str) -> Iterator[str]:
    entries = [
        it
        for it in imported.ledger.of(outcome)
        if not it.handling.decisive and not _is_as_it_is(it)
    ]
    if entries:
        yield title
        yield from _told(entries, imported)


def _is_as_it_is(entry: Entry) -> bool:
    """Whether an option of a route is what the option of the same kind is here."""
    return len(entry.path) == 3 and entry.handling in _AS_IT_IS


def _as_they_are(imported: Imported) -> Iterator[str]:
    routes: dict[Path, list[str]] = {}
    for entry in imported.ledger.of(Outcome.TRANSLATED):
        if _is_as_it_is(entry):
            routes.setdefault(entry.path[:2], []).append(str(entry.path[2]))
    if routes:
        yield "ROUTES, and which of their options are translated"
    for path, names in routes.items():
        file, line, column = imported.ledger.where.at(*path)
        yield f"  {file}:{line}:{column}: `{imported.names.get(path, '?')}`: {', '.join(names)}"


def _told(entries: Iterable[Entry], imported: Imported) -> Iterator[str]:
    for entry in sorted(entries, key=lambda it: it.place):
        file, line, column = entry.place
        route = imported.names.get(entry.path[:2])
        of_route = f" (`{route}`)" if route and len(entry.path) > 2 else ""
        yield f"  {file}:{line}:{column}: {_line(entry)}{of_route}"


def _line(entry: Entry) -> str:
    name = written(entry.path[2:] if len(entry.path) > 2 else entry.path)
    return f"{name}{_value(entry)}: {entry.handling.text}"


def _value(entry: Entry) -> str:
    if entry.handling.outcome is not Outcome.PROXY:
        return ""
    text = entry.value if isinstance(entry.value, str) else json.dumps(entry.value, default=str)
    text = _PASSWORD.sub("…@", " ".join(text.split()))
    return f" = {text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}"
