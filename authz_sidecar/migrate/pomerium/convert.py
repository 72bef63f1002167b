"""The whole of a Pomerium configuration, translated, with an account of every key."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.suggest import unknown
from authz_sidecar.migrate.pomerium import sections
from authz_sidecar.migrate.pomerium.dependencies import dependencies
from authz_sidecar.migrate.pomerium.go_values import folded, says_nothing, truth
from authz_sidecar.migrate.pomerium.headers import headers, identity_is_passed, templates
from authz_sidecar.migrate.pomerium.options import OPTIONS
from authz_sidecar.migrate.pomerium.policies import NOBODY, PolicyReader
from authz_sidecar.migrate.pomerium.providers import Provider, default_provider, route_provider
from authz_sidecar.migrate.pomerium.report import (
    Handling,
    Ledger,
    Outcome,
    Path,
    not_needed,
    unsupported,
)
from authz_sidecar.migrate.pomerium.route_options import ROUTE_OPTIONS
from authz_sidecar.migrate.pomerium.route_patterns import (
    NoPlaceError,
    Place,
    ignored_paths,
    place_of,
)
from authz_sidecar.migrate.pomerium.route_precedence import (
    Changed,
    Standing,
    changed_winners,
    uncovered,
)
from authz_sidecar.policy.compile import ALL_FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_sidecar.core.source_locations import Positions
    from authz_sidecar.core.types import Fact
    from authz_sidecar.routes.model import HostPattern

_SILENT = not_needed("says nothing, or what is so anyway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """`data` is our configuration; `added` are the routes in it that were not in the input, by
    their place in the list. `names` are the routes of the input by their path there."""

    data: dict[str, Any]
    ledger: Ledger
    changed: tuple[Changed, ...]
    added: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[Path, str] = field(default_factory=dict)

    @property
    def needs_acceptance(self) -> bool:
        """Whether somebody has to look before this decides as Pomerium did."""
        return bool(self.changed or self.ledger.decisive)


def import_pomerium(
    data: object, *, where: Positions, facts: frozenset[Fact] = ALL_FACTS
) -> Imported:
    """`facts` are those that every enabled proxy delivers. Never raises for what is in `data`."""
    ledger = Ledger(where)
    options = folded(data)
    for key, value in options.items():
        _account((key,), value, OPTIONS, ledger)
    return _Import(options, ledger, PolicyReader(ledger=ledger, facts=facts)).result()


def _account(path: Path, value: object, table: Mapping[str, Handling], ledger: Ledger) -> None:
    key = str(path[-1])
    handling = table.get(key)
    if handling is None:
        message = f"is left out: {unknown('option', key, table)}"
        handling = unsupported(message, decisive=True, secret=True)
    elif says_nothing(value) and handling.outcome is not Outcome.TRANSLATED:
        handling = _SILENT
    ledger.note(path, handling, value)


@dataclass(slots=True)
class _Import:
    options: Mapping[str, Any]
    ledger: Ledger
    policies: PolicyReader
    others: list[Provider] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)
    named: dict[Path, str] = field(default_factory=dict)
    standing: list[Standing] = field(default_factory=list)
    emptied: list[HostPattern] = field(default_factory=list)

    def result(self) -> Imported:
        given = list(self._given())
        provider = default_provider(self.options, self.ledger)
        _defaults(self.options, self.ledger)
        routes = [it for at, route in given if (it := self._route(at, route, provider))]
        self._dependencies(dict(given), {str(route["name"]): route for route in routes})
        added = {}
        for host in uncovered(self.standing, emptied=self.emptied):
            added[len(routes)] = f"Pomerium answers not found elsewhere on {host}"
            routes.append(
                {"name": self._unique(f"{host} else"), "from": str(host), "policy": NOBODY}
            )
        server = sections.server(self.options, self.ledger)
        if any(str(route["from"]).startswith("http://") for route in routes):
            server["allow_insecure_http"] = True
            self.ledger.remark("some routes are plain http: cookies travel in the clear there")
        signing_keys = sections.signing_keys(self.options, self.ledger)
        central = "auth_host" in server
        data = {
            "server": server,
            "secret_keys": sections.secret_keys(self.options),
            "sessions": sections.sessions(self.options, self.ledger, central=central),
            "identity_providers": {it.name: it.settings for it in (provider, *self.others)},
            "default_identity_provider": provider.name,
            "headers": headers(self.options, [route for _, route in given], self.ledger),
            "assertion": {"signing_keys": signing_keys} if signing_keys else {},
            "routes": routes,
        }
        if not all(identity_is_passed(self.options, route) for _, route in given):
            self.ledger.remark(
                "identity headers are always passed: some applications got none from Pomerium"
            )
        return Imported(
            data={key: value for key, value in data.items() if value or key == "routes"},
            ledger=self.ledger,
            changed=tuple(changed_winners(self.standing)),
            added=added,
            names=self.named,
        )

    def _given(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Pomerium puts `policy` before `routes`."""
        for key in ("policy", "routes"):
            routes = self.options.get(key)
            if not isinstance(routes, list):
                if not says_nothing(routes):
                    handling = unsupported("is no list of routes", decisive=True)
                    self.ledger.note((key,), handling, routes)
                continue
            for place, route in enumerate(routes):
                options = folded(route)
                if not options:
                    handling = unsupported("is no route", decisive=True)
                    self.ledger.note((key, place), handling, route)
                    continue
                for name, value in options.items():
                    _account((key, place, name), value, ROUTE_OPTIONS, self.ledger)
                yield (key, place), options

    def _route(
        self, at: Path, route: Mapping[str, Any], provider: Provider
    ) -> dict[str, Any] | None:
        try:
            place = place_of(route)
        except NoPlaceError as wrong:
            self.named[at] = str(route.get("name") or route.get("from"))
            handling = (
                not_needed(str(wrong))
                if wrong.never
                else unsupported(f"{wrong}; the route is left out", decisive=True)
            )
            self.ledger.note((*at, wrong.key), handling, route.get(wrong.key))
            if wrong.host is not None:
                self.emptied.append(wrong.host)
            return None
        name = self._unique(str(route.get("name") or _name(place)))
        self.named[at] = name
        self.standing.append(Standing(name=name, host=place.host, paths=place.paths, at=at))
        for key in ignored_paths(route):
            why = "Pomerium's proxy does not look at it beside the others"
            self.ledger.note((*at, key), not_needed(why), route[key])
        ours: dict[str, Any] = {"name": name, **place.settings}
        own = route_provider(route, provider, self.others)
        if own is not None:
            ours["identity_provider"] = own.name
        rules = self.policies.settings(route, at)
        passes_on = identity_is_passed(self.options, route)
        if "allow_public_unauthenticated_access" in rules and passes_on and "policy" not in rules:
            ours["identity"] = "optional"
        ours |= rules
        if filled := templates(route, at, self.ledger):
            ours["set_request_headers"] = filled
        _default_of_route(route, at, self.ledger)
        return ours

    def _dependencies(
        self, given: Mapping[Path, Mapping[str, Any]], routes: Mapping[str, dict[str, Any]]
    ) -> None:
        """Once it is known which hosts there are."""
        hosts = [it.host for it in self.standing]
        for it in self.standing:
            named = dependencies(given[it.at], it.at, host=it.host, hosts=hosts, ledger=self.ledger)
            if named:
                routes[it.name]["depends_on"] = named

    def _unique(self, name: str) -> str:
        self.names[name] += 1
        return name if self.names[name] == 1 else self._unique(f"{name} ({self.names[name]})")


def _name(place: Place) -> str:
    host: HostPattern = place.host
    name = f"{host.depth}{host.name}" + ("" if host.port is None else f":{host.port}")
    return name if place.paths.text == "/" else f"{name} {place.paths.text}"


def _defaults(options: Mapping[str, Any], ledger: Ledger) -> None:
    """Settings that only matter when they are not as they are here anyway."""
    if str(options.get("bearer_token_format", "")).lower() == "default":
        ledger.note(("bearer_token_format",), _SILENT, "default")
    if str(options.get("jwt_issuer_format", "")).lower() == "uri":
        handling = unsupported("the issuer is the host without `https://`: tell your verifiers")
        ledger.note(("jwt_issuer_format",), handling, "uri")


def _default_of_route(route: Mapping[str, Any], at: Path, ledger: Ledger) -> None:
    if str(route.get("bearer_token_format", "")).lower() == "default":
        ledger.note((*at, "bearer_token_format"), _SILENT, "default")
    if str(route.get("jwt_issuer_format", "")).lower() == "uri":
        handling = unsupported("the issuer is the host without `https://`: tell your verifiers")
        ledger.note((*at, "jwt_issuer_format"), handling, "uri")
    if not truth(route.get("pass_identity_headers", True)):
        handling = unsupported("the proxy can remove the identity headers for this application")
        ledger.note((*at, "pass_identity_headers"), handling, route["pass_identity_headers"])
