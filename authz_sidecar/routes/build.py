"""Builds a `RouteIndex` from the configuration's routes and policies, and collects every problem.

A broken route never vanishes: it stays in the index and refuses, so that no wider route of the same
host serves its requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy.compile import ALL_ATTRIBUTES
from authz_sidecar.policy.criteria import Dependency
from authz_sidecar.policy.model import Policy, refusing_policy
from authz_sidecar.routes.index import RouteIndex
from authz_sidecar.routes.model import HostPattern, IdentityMode, PathKind, PathRule, Route
from authz_sidecar.routes.patterns import (
    RoutePatternError,
    exact_origin,
    parse_host_pattern,
    parse_path_rule,
)
from authz_sidecar.routes.route_checks import find_overlaps
from authz_sidecar.routes.route_policies import RoutePolicies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authz_sidecar.core.source_locations import PathStep, SourceMap
    from authz_sidecar.core.types import RequestAttribute
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.records import RecordTables
    from authz_sidecar.routes.settings import RouteSettings

_ANYWHERE = PathRule(PathKind.REGEX, ".*")


@dataclass(frozen=True, slots=True)
class CompiledRoutes:
    """The routes of a configuration, compiled.

    - `problems`: the errors in every broken route and policy.
    - `warnings`: about routes that no request can reach.
    - `misconfigured`: the routes that refuse every request because of a problem, so that the others
      can be served.
    - `without_location`: the problems of routes whose host cannot be parsed. With one of them
      nothing can be served, because a wider route would serve its requests.
    """

    index: RouteIndex
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    misconfigured: tuple[Route, ...] = ()
    without_location: tuple[Problem, ...] = ()


def build_routes(
    routes: Sequence[RouteSettings],
    policies: Mapping[str, object],
    *,
    source_map: SourceMap,
    available_attributes: frozenset[RequestAttribute] = ALL_ATTRIBUTES,
    providers: Sequence[str],
    default_provider: str | None,
    token_issuers: Sequence[str] = (),
    allow_insecure_http: bool = False,
    records: RecordTables | None = None,
) -> CompiledRoutes:
    """Returns the compiled routes with every problem in them.

    - `source_map`: has its root at the configuration: `("routes", 0, "policy")`.
    - `available_attributes`: the request attributes that every enabled adapter delivers.
    - `default_provider`: where None, a single provider is the default one.
    - `records`: where None, names of record tables are not checked.
    """
    default = default_provider or (providers[0] if len(providers) == 1 else None)
    problems: list[Problem] = []
    builder = _Builder(
        policies=RoutePolicies(
            policies,
            source_map=source_map,
            available_attributes=available_attributes,
            records=records,
            problems=problems,
        ),
        source_map=source_map,
        providers=frozenset(providers),
        token_issuers=frozenset(token_issuers),
        default_provider=default,
        allow_insecure_http=allow_insecure_http,
        problems=problems,
    )
    builder.check_names(routes)
    compiled = [
        route
        for position, settings in enumerate(routes)
        if (route := builder.route(settings, position)) is not None
    ]
    # A path that cannot be parsed may be any path of its host: its route is matched first.
    compiled.sort(key=lambda route: route.paths is not _ANYWHERE)
    index = RouteIndex(compiled)
    builder.check_dependencies(routes, index)
    return CompiledRoutes(
        index=index,
        problems=tuple(sorted(problems)),
        warnings=tuple(sorted(find_overlaps(compiled, source_map))),
        misconfigured=tuple(builder.refused),
        without_location=tuple(sorted(builder.unplaced)),
    )


class _Builder:
    def __init__(
        self,
        *,
        policies: RoutePolicies,
        source_map: SourceMap,
        providers: frozenset[str],
        token_issuers: frozenset[str],
        default_provider: str | None,
        allow_insecure_http: bool,
        problems: list[Problem],
    ) -> None:
        self.problems = problems
        self.unplaced: list[Problem] = []
        self.refused: list[Route] = []
        self._same_names: set[int] = set()
        self._policies = policies
        self._where = source_map
        self._providers = providers
        self._token_issuers = token_issuers
        self._default_provider = default_provider
        self._allow_insecure_http = allow_insecure_http

    def check_names(self, routes: Sequence[RouteSettings]) -> None:
        first_index: dict[str, int] = {}
        for index, settings in enumerate(routes):
            if settings.name is None:
                continue
            first = first_index.setdefault(settings.name, index)
            if first != index:
                self._same_names.add(index)
                self._problem(
                    f"`{settings.name}` is already the name of routes[{first}]",
                    ("routes", index, "name"),
                )

    def check_dependencies(self, routes: Sequence[RouteSettings], index: RouteIndex) -> None:
        """Only hosts of our own routes can be signed in together."""
        for route_index, settings in enumerate(routes):
            for origin_index, origin in enumerate(settings.depends_on):
                if not index.is_known_origin(origin):
                    message = f"no route protects `{origin}`, so a sign-in cannot include it"
                    self._problem(message, ("routes", route_index, "depends_on", origin_index))

    def route(self, settings: RouteSettings, index: int) -> Route | None:
        """The compiled route, a refusing one where it is broken, or None where its host cannot be
        parsed."""
        path, before = ("routes", index), len(self.problems)
        host = self._host(settings, path)
        if host is None:
            self.unplaced += self.problems[before:]
        paths = self._paths(settings, path)
        policy = self._policies.compile_for(settings, path)
        self._check_providers(settings, path)
        identity_mode = self._identity_use(settings, policy, path)
        if host is None:
            return None
        name = settings.name or f"{host}{'' if paths is None else _suffix(paths)}"
        is_valid = len(self.problems) == before and index not in self._same_names
        if paths is None or policy is None or not is_valid:
            refusing = Route(
                name=name,
                host=host,
                paths=paths or _ANYWHERE,
                policy=refusing_policy(),
                identity="none",
                ignore_case=paths is not None and settings.paths == "ignore_case",
                written_at=path,
            )
            self.refused.append(refusing)
            return refusing
        return Route(
            name=name,
            host=host,
            paths=paths,
            policy=policy,
            providers=settings.identity_provider
            or (() if self._default_provider is None else (self._default_provider,)),
            token_issuers=settings.token_issuers,
            service_accounts=settings.service_accounts,
            command_line_tools=settings.command_line_tools,
            basic_auth=settings.basic_auth,
            identity=identity_mode,
            public=settings.allow_public_unauthenticated_access,
            allowed_origins=tuple(map(str, settings.allowed_origins)),
            ignore_case=settings.paths == "ignore_case",
            set_request_headers=tuple(settings.set_request_headers.items()),
            depends_on=tuple(map(str, settings.depends_on)),
            written_at=path,
        )

    def _problem(self, message: str, path: tuple[PathStep, ...]) -> None:
        self.problems.append(self._where.problem(message, *path))

    def _host(self, settings: RouteSettings, path: tuple[PathStep, ...]) -> HostPattern | None:
        try:
            host = parse_host_pattern(settings.from_)
        except RoutePatternError as error:
            self._problem(str(error), (*path, "from"))
            return None
        if host.scheme == "http" and not (
            self._allow_insecure_http or exact_origin(host).is_loopback
        ):
            self._problem(
                "`http://` is for loopback names only, unless `server.allow_insecure_http: true`",
                (*path, "from"),
            )
        return host

    def _paths(self, settings: RouteSettings, path: tuple[PathStep, ...]) -> PathRule | None:
        try:
            return parse_path_rule(settings)
        except RoutePatternError as error:
            self._problem(str(error), path if error.key is None else (*path, error.key))
            return None

    def _identity_use(
        self, settings: RouteSettings, policy: Policy | None, path: tuple[PathStep, ...]
    ) -> IdentityMode:
        """A policy about users needs a session, or it would require a sign-in again and again."""
        if not settings.allow_public_unauthenticated_access and settings.identity is None:
            return "required"
        needs_subject = policy is not None and Dependency.SUBJECT in policy.depends_on
        if settings.identity is None:
            return "required" if needs_subject else "none"
        if needs_subject and settings.identity == "none":
            self._problem(
                "cannot be `none`: the policy needs to know the user", (*path, "identity")
            )
        return settings.identity

    def _check_providers(self, settings: RouteSettings, path: tuple[PathStep, ...]) -> None:
        for index, name in enumerate(settings.identity_provider or ()):
            if name not in self._providers:
                message = unknown_name_message("identity provider", name, self._providers)
                self._problem(message, (*path, "identity_provider", index))
        for index, name in enumerate(settings.token_issuers):
            if name not in self._token_issuers:
                message = unknown_name_message("token issuer", name, self._token_issuers)
                self._problem(message, (*path, "token_issuers", index))


def _suffix(paths: PathRule) -> str:
    return "" if paths.text == "/" and paths.kind is PathKind.PREFIX else f" {paths}"
