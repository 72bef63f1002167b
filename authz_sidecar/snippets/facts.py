"""What a proxy needs from our configuration. Knows no proxy's syntax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.value_parsers import ListenAddress, TcpAddress
from authz_sidecar.routes.model import WildcardDepth
from authz_sidecar.routes.patterns import parse_host_pattern

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Config
    from authz_sidecar.routes.model import HostPattern


class SnippetError(ValueError):
    """The proxy cannot serve this configuration; the message is for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedCertificate:
    """The header and the format in which the client's certificate is forwarded."""

    header: str
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """What a proxy needs from a configuration.

    `check`, `web`: the addresses to connect to.
    `hosts`, `auth_host`: names without ports; a wildcard is `*.` or `**.`.
    `headers`: all headers that may be set for an application.
    `cookies`: the exact names of the session's cookies.
    `nginx_cache`: whether nginx may cache responses.
    `notes`: what the operator has to do.
    """

    check: ListenAddress
    web: ListenAddress
    base_path: str
    hosts: tuple[str, ...]
    auth_host: str | None
    headers: tuple[str, ...]
    cookies: tuple[str, ...]
    strip_cookie: bool = True
    certificate: ForwardedCertificate | None = None
    nginx_cache: bool = False
    notes: tuple[str, ...] = ()


def deployment_facts(config: Config, *, headers: tuple[str, ...]) -> DeploymentFacts:
    """Return what a proxy needs from `config`. Raises `SnippetError` if there are no routes."""
    patterns = {parse_host_pattern(route.from_): None for route in config.routes}
    hosts = tuple(dict.fromkeys(f"{pattern.depth}{pattern.name}" for pattern in patterns))
    if not hosts:
        raise SnippetError("the configuration has no routes, so there is nothing to protect")
    server = config.server
    auth_host = None if server.auth_host is None else server.auth_host.host
    return DeploymentFacts(
        check=_connect_address(server.listen),
        web=_connect_address(server.web_listen),
        base_path=server.base_path,
        hosts=hosts,
        # Where it is also protected, its pages are among that host's.
        auth_host=None if auth_host in hosts else auth_host,
        headers=headers,
        cookies=_cookie_names(config, patterns),
        strip_cookie=server.strip_cookie,
        certificate=None
        if server.client_certificate is None
        else ForwardedCertificate(
            header=server.client_certificate.header, format=server.client_certificate.format
        ),
        nginx_cache=server.nginx_cache > 0,
        notes=tuple(_notes(patterns)),
    )


def _connect_address(address: ListenAddress) -> ListenAddress:
    """The address at which a proxy on the same machine reaches a listener on all addresses."""
    if isinstance(address, TcpAddress) and address.host in ("0.0.0.0", "::"):  # noqa: S104
        return TcpAddress("127.0.0.1" if address.host == "0.0.0.0" else "::1", address.port)  # noqa: S104
    return address


def _cookie_names(config: Config, patterns: dict[HostPattern, None]) -> tuple[str, ...]:
    cookie = config.sessions.cookie
    prefixes = dict.fromkeys(
        "" if pattern.scheme == "http" else "__Host-" if cookie.domain is None else "__Secure-"
        for pattern in patterns
    )
    providers = config.identity_providers
    default = config.default_identity_provider or (
        next(iter(providers)) if len(providers) == 1 else None
    )
    return tuple(
        f"{prefix}{cookie.name}{'' if provider == default else f'-{provider}'}"
        for prefix in prefixes
        for provider in (*providers,) or (default,)
    )


def _notes(patterns: dict[HostPattern, None]) -> list[str]:
    notes = []
    for pattern in patterns:
        if pattern.port is not None:
            notes.append(f"`{pattern}` has its own port: listen there too")
        elif pattern.scheme == "http":
            notes.append(f"`{pattern}` is plain http: the files listen with TLS on port 443")
        if pattern.depth is WildcardDepth.ANY:
            notes.append(f"`{pattern}`: make sure that names of every depth have a certificate")
    return notes
