"""Rules about `server`: where it listens, whom it serves, and what nginx may repeat for it."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from authz_sidecar.config.value_parsers import ListenAddress, TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import Found

MOST_SECONDS_IN_NGINX = 60


def server_rules(config: Config) -> Iterator[Found]:
    yield from _listeners(config)
    yield from _throttle(config)
    yield from _nginx_cache(config)
    yield from _auth_host(config)


def _listeners(config: Config) -> Iterator[Found]:
    server = config.server
    named: dict[str, ListenAddress] = {
        "listen": server.listen,
        "web_listen": server.web_listen,
        "ops_listen": server.ops_listen,
    }
    for (one, address), (other, same) in combinations(named.items(), 2):
        if _collide(address, same):
            yield (
                f"is the same address as `server.{one}`, each listener needs its own",
                (
                    "server",
                    other,
                ),
            )
    for name in ("listen", "web_listen"):
        if not named[name].is_loopback and "trusted_proxies" not in server.model_fields_set:
            yield (
                (
                    f"`{named[name]}` can be reached from other machines:"
                    " say in `server.trusted_proxies` which of them are your proxies"
                ),
                ("server", name),
            )


def _collide(one: ListenAddress, other: ListenAddress) -> bool:
    if not isinstance(one, TcpAddress) or not isinstance(other, TcpAddress):
        return one == other
    anywhere = ("0.0.0.0", "::")  # noqa: S104 -- compared with, not bound
    return (
        one.port == other.port
        and one.port != 0
        and (one.host == other.host or one.host in anywhere or other.host in anywhere)
    )


def _throttle(config: Config) -> Iterator[Found]:
    if config.server.throttle.window < 1:
        yield "must be a second at least", ("server", "throttle", "window")


def _nginx_cache(config: Config) -> Iterator[Found]:
    server, path = config.server, ("server", "nginx_cache")
    seconds = server.nginx_cache
    if not seconds:
        return
    if not seconds.is_integer() or not 1 <= seconds <= MOST_SECONDS_IN_NGINX:
        yield f"must be whole seconds, {MOST_SECONDS_IN_NGINX} at most", path
    if "nginx" not in server.adapters:
        yield "is for `nginx`, which is not among `server.adapters`", path
    # What is repeated counts as no use, and carries the assertion as it was: an active session must
    # not fall idle, nor an assertion end, while nginx answers for us.
    for name, whole in (
        ("sessions.idle_timeout", config.sessions.idle_timeout),
        ("assertion.ttl", config.assertion.ttl),
    ):
        if seconds >= whole / 10:
            yield f"must be shorter than a tenth of `{name}`", path


def _auth_host(config: Config) -> Iterator[Found]:
    host = config.server.auth_host
    if host is None:
        return
    if host.scheme == "http" and not host.is_loopback and not config.server.allow_insecure_http:
        yield (
            (
                "must be https, `http://` is for loopback names unless"
                " `server.allow_insecure_http: true`"
            ),
            ("server", "auth_host"),
        )
    if config.sessions.cookie.domain is not None:
        yield (
            (
                "cannot be combined with `server.auth_host`, which signs in every host already, each"
                " with a cookie of its own"
            ),
            ("sessions", "cookie", "domain"),
        )
