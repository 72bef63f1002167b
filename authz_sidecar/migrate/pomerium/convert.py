"""Converts a whole Pomerium configuration and reports on every key."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.migrate.pomerium import sections
from authz_sidecar.migrate.pomerium.dependencies import convert_dependencies
from authz_sidecar.migrate.pomerium.go_values import is_unset, lower_keys, parse_go_bool
from authz_sidecar.migrate.pomerium.headers import (
    convert_headers,
    convert_request_headers,
    passes_identity_headers,
)
from authz_sidecar.migrate.pomerium.options import OPTIONS
from authz_sidecar.migrate.pomerium.policies import DENY_ALL, PolicyConverter
from authz_sidecar.migrate.pomerium.providers import (
    ConvertedProvider,
    default_provider,
    route_provider,
)
from authz_sidecar.migrate.pomerium.report import (
    ConversionOutcome,
    ConversionReport,
    Disposition,
    DocumentPath,
    not_needed,
    unsupported,
)
from authz_sidecar.migrate.pomerium.route_options import ROUTE_OPTIONS
from authz_sidecar.migrate.pomerium.route_patterns import (
    RoutePattern,
    UnsupportedPatternError,
    ignored_path_options,
    parse_route_pattern,
)
from authz_sidecar.migrate.pomerium.route_precedence import (
    PrecedenceChange,
    RoutePosition,
    find_precedence_changes,
    find_uncovered_hosts,
)
from authz_sidecar.policy.compile import ALL_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_sidecar.core.source_locations import SourceMap
    from authz_sidecar.core.types import RequestAttribute
    from authz_sidecar.routes.model import HostPattern

_NO_EFFECT = not_needed("has no effect, or is the default here")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionResult:
    """The result of an import.

    `data`: our configuration.
    `added_routes`: comments on the routes in it that were not in the input, by index.
    `route_names`: the names of the input's routes by their path there.
    """

    data: dict[str, Any]
    report: ConversionReport
    precedence_changes: tuple[PrecedenceChange, ...]
    added_routes: Mapping[int, str] = field(default_factory=dict)
    route_names: Mapping[DocumentPath, str] = field(default_factory=dict)

    @property
    def needs_acceptance(self) -> bool:
        """Whether the operator has to accept that requests are decided differently than in
        Pomerium."""
        return bool(self.precedence_changes or self.report.decisive)


def import_pomerium(
    data: object, *, source_map: SourceMap, facts: frozenset[RequestAttribute] = ALL_ATTRIBUTES
) -> ConversionResult:
    """Return the conversion of a Pomerium configuration. `facts` are the request attributes that
    every enabled proxy delivers. Never raises for what is in `data`."""
    report = ConversionReport(source_map)
    options = lower_keys(data)
    for key, value in options.items():
        _record_disposition((key,), value, OPTIONS, report)
    return _Converter(options, report, PolicyConverter(report=report, facts=facts)).convert()


def _record_disposition(
    path: DocumentPath, value: object, table: Mapping[str, Disposition], report: ConversionReport
) -> None:
    key = str(path[-1])
    disposition = table.get(key)
    if disposition is None:
        message = f"is left out: {unknown_name_message('option', key, table)}"
        disposition = unsupported(message, decisive=True, secret=True)
    elif is_unset(value) and disposition.outcome is not ConversionOutcome.TRANSLATED:
        disposition = _NO_EFFECT
    report.record(path, disposition, value)


@dataclass(slots=True)
class _Converter:
    options: Mapping[str, Any]
    report: ConversionReport
    policies: PolicyConverter
    other_providers: list[ConvertedProvider] = field(default_factory=list)
    name_counts: Counter[str] = field(default_factory=Counter)
    names_by_path: dict[DocumentPath, str] = field(default_factory=dict)
    positions: list[RoutePosition] = field(default_factory=list)
    hosts_without_route: list[HostPattern] = field(default_factory=list)

    def convert(self) -> ConversionResult:
        input_routes = list(self._input_routes())
        provider = default_provider(self.options, self.report)
        _record_defaults(self.options, self.report)
        routes = [
            converted
            for path, route in input_routes
            if (converted := self._convert_route(path, route, provider))
        ]
        self._add_dependencies(dict(input_routes), {str(route["name"]): route for route in routes})
        added = {}
        for host in find_uncovered_hosts(
            self.positions, hosts_without_route=self.hosts_without_route
        ):
            added[len(routes)] = f"Pomerium answers 404 elsewhere on {host}"
            routes.append(
                {"name": self._unique_name(f"{host} else"), "from": str(host), "policy": DENY_ALL}
            )
        server = sections.convert_server(self.options, self.report)
        if any(str(route["from"]).startswith("http://") for route in routes):
            server["allow_insecure_http"] = True
            self.report.add_remark("some routes are plain http: their cookies are sent unencrypted")
        signing_keys = sections.convert_signing_keys(self.options, self.report)
        has_auth_host = "auth_host" in server
        data = {
            "server": server,
            "secret_keys": sections.convert_secret_keys(self.options),
            "sessions": sections.convert_sessions(
                self.options, self.report, has_auth_host=has_auth_host
            ),
            "identity_providers": {
                converted.name: converted.settings
                for converted in (provider, *self.other_providers)
            },
            "default_identity_provider": provider.name,
            "headers": convert_headers(
                self.options, [route for _, route in input_routes], self.report
            ),
            "assertion": {"signing_keys": signing_keys} if signing_keys else {},
            "routes": routes,
        }
        if not all(passes_identity_headers(self.options, route) for _, route in input_routes):
            self.report.add_remark(
                "identity headers are always passed: some applications got none from Pomerium"
            )
        return ConversionResult(
            data={key: value for key, value in data.items() if value or key == "routes"},
            report=self.report,
            precedence_changes=tuple(find_precedence_changes(self.positions)),
            added_routes=added,
            route_names=self.names_by_path,
        )

    def _input_routes(self) -> Iterator[tuple[DocumentPath, dict[str, Any]]]:
        """Pomerium puts `policy` before `routes`."""
        for key in ("policy", "routes"):
            routes = self.options.get(key)
            if not isinstance(routes, list):
                if not is_unset(routes):
                    disposition = unsupported("is no list of routes", decisive=True)
                    self.report.record((key,), disposition, routes)
                continue
            for index, route in enumerate(routes):
                options = lower_keys(route)
                if not options:
                    disposition = unsupported("is no route", decisive=True)
                    self.report.record((key, index), disposition, route)
                    continue
                for name, value in options.items():
                    _record_disposition((key, index, name), value, ROUTE_OPTIONS, self.report)
                yield (key, index), options

    def _convert_route(
        self, path: DocumentPath, route: Mapping[str, Any], provider: ConvertedProvider
    ) -> dict[str, Any] | None:
        try:
            pattern = parse_route_pattern(route)
        except UnsupportedPatternError as error:
            self.names_by_path[path] = str(route.get("name") or route.get("from"))
            disposition = (
                not_needed(str(error))
                if error.never_matched
                else unsupported(f"{error}; the route is left out", decisive=True)
            )
            self.report.record((*path, error.key), disposition, route.get(error.key))
            if error.host is not None:
                self.hosts_without_route.append(error.host)
            return None
        name = self._unique_name(str(route.get("name") or _default_name(pattern)))
        self.names_by_path[path] = name
        self.positions.append(
            RoutePosition(name=name, host=pattern.host, paths=pattern.paths, path=path)
        )
        for key in ignored_path_options(route):
            why = "Pomerium's proxy does not look at it beside the others"
            self.report.record((*path, key), not_needed(why), route[key])
        converted: dict[str, Any] = {"name": name, **pattern.settings}
        own_provider = route_provider(route, provider, self.other_providers)
        if own_provider is not None:
            converted["identity_provider"] = own_provider.name
        access = self.policies.convert(route, path)
        passes_on = passes_identity_headers(self.options, route)
        if "allow_public_unauthenticated_access" in access and passes_on and "policy" not in access:
            converted["identity"] = "optional"
        converted |= access
        if request_headers := convert_request_headers(route, path, self.report):
            converted["set_request_headers"] = request_headers
        _record_route_defaults(route, path, self.report)
        return converted

    def _add_dependencies(
        self,
        input_routes: Mapping[DocumentPath, Mapping[str, Any]],
        routes: Mapping[str, dict[str, Any]],
    ) -> None:
        """Once it is known which hosts there are."""
        hosts = [position.host for position in self.positions]
        for position in self.positions:
            names = convert_dependencies(
                input_routes[position.path],
                position.path,
                host=position.host,
                hosts=hosts,
                report=self.report,
            )
            if names:
                routes[position.name]["depends_on"] = names

    def _unique_name(self, name: str) -> str:
        self.name_counts[name] += 1
        return (
            name
            if self.name_counts[name] == 1
            else self._unique_name(f"{name} ({self.name_counts[name]})")
        )


def _default_name(pattern: RoutePattern) -> str:
    host: HostPattern = pattern.host
    name = f"{host.depth}{host.name}" + ("" if host.port is None else f":{host.port}")
    return name if pattern.paths.text == "/" else f"{name} {pattern.paths.text}"


def _record_defaults(options: Mapping[str, Any], report: ConversionReport) -> None:
    """Record settings that matter only if they differ from the behaviour here."""
    if str(options.get("bearer_token_format", "")).lower() == "default":
        report.record(("bearer_token_format",), _NO_EFFECT, "default")
    if str(options.get("jwt_issuer_format", "")).lower() == "uri":
        disposition = unsupported("the issuer is the host without `https://`: tell your verifiers")
        report.record(("jwt_issuer_format",), disposition, "uri")


def _record_route_defaults(
    route: Mapping[str, Any], path: DocumentPath, report: ConversionReport
) -> None:
    if str(route.get("bearer_token_format", "")).lower() == "default":
        report.record((*path, "bearer_token_format"), _NO_EFFECT, "default")
    if str(route.get("jwt_issuer_format", "")).lower() == "uri":
        disposition = unsupported("the issuer is the host without `https://`: tell your verifiers")
        report.record((*path, "jwt_issuer_format"), disposition, "uri")
    if not parse_go_bool(route.get("pass_identity_headers", True)):
        disposition = unsupported("the proxy can remove the identity headers for this application")
        report.record((*path, "pass_identity_headers"), disposition, route["pass_identity_headers"])
