"""Rules about `server`: its listeners, trusted proxies, throttle, nginx cache and sign-in host."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from authz_sidecar.config.value_parsers import ListenAddress, TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import RuleViolation

MAX_NGINX_CACHE_SECONDS = 60


def check_server(config: Config) -> Iterator[RuleViolation]:
    """Return what is wrong with the section `server`."""
    yield from _check_listeners(config)
    yield from _check_throttle(config)
    yield from _check_nginx_cache(config)
    yield from _check_auth_host(config)


def _check_listeners(config: Config) -> Iterator[RuleViolation]:
    server = config.server
    addresses: dict[str, ListenAddress] = {
        "listen": server.listen,
        "web_listen": server.web_listen,
        "ops_listen": server.ops_listen,
    }
    for (name, address), (other, other_address) in combinations(addresses.items(), 2):
        if _collide(address, other_address):
            yield (
                f"is the same address as `server.{name}`, each listener needs its own",
                (
                    "server",
                    other,
                ),
            )
    for name in ("listen", "web_listen"):
        if not addresses[name].is_loopback and "trusted_proxies" not in server.model_fields_set:
            yield (
                (
                    f"`{addresses[name]}` can be reached from other machines:"
                    " list the addresses of your proxies in `server.trusted_proxies`"
                ),
                ("server", name),
            )


def _collide(address: ListenAddress, other_address: ListenAddress) -> bool:
    if not isinstance(address, TcpAddress) or not isinstance(other_address, TcpAddress):
        return address == other_address
    wildcards = ("0.0.0.0", "::")  # noqa: S104 -- compared with, not bound
    return (
        address.port == other_address.port
        and address.port != 0
        and (
            address.host == other_address.host
            or address.host in wildcards
            or other_address.host in wildcards
        )
    )


def _check_throttle(config: Config) -> Iterator[RuleViolation]:
    if config.server.throttle.window < 1:
        yield "must be at least `1s`", ("server", "throttle", "window")


def _check_nginx_cache(config: Config) -> Iterator[RuleViolation]:
    server, path = config.server, ("server", "nginx_cache")
    seconds = server.nginx_cache
    if not seconds:
        return
    if not seconds.is_integer() or not 1 <= seconds <= MAX_NGINX_CACHE_SECONDS:
        yield f"must be whole seconds, at most {MAX_NGINX_CACHE_SECONDS}", path
    if "nginx" not in server.adapters:
        yield "needs `nginx` in `server.adapters`", path
    # A cached response does not count as use of the session, and carries an old assertion: an active
    # session must not fall idle, nor an assertion expire, while nginx answers for us.
    for name, duration in (
        ("sessions.idle_timeout", config.sessions.idle_timeout),
        ("assertion.ttl", config.assertion.ttl),
    ):
        if seconds >= duration / 10:
            yield f"must be shorter than a tenth of `{name}`", path


def _check_auth_host(config: Config) -> Iterator[RuleViolation]:
    host = config.server.auth_host
    if host is None:
        return
    if host.scheme == "http" and not host.is_loopback and not config.server.allow_insecure_http:
        yield (
            (
                "must be https: `http://` needs a loopback name or"
                " `server.allow_insecure_http: true`"
            ),
            ("server", "auth_host"),
        )
    if config.sessions.cookie.domain is not None:
        yield (
            (
                "cannot be combined with `server.auth_host`, which signs users in on every host with"
                " a separate cookie"
            ),
            ("sessions", "cookie", "domain"),
        )
