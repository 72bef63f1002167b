"""Rules of a configuration that involve more than one key.

The shape of each key is the schema's business; places of routes and policies are `routes`'. Rules about
one part of the configuration are in the module of that part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.callbacks import callback_rules
from authz_sidecar.config.checks.credentials import asks_for_sign_in, caller_rules
from authz_sidecar.config.checks.headers import header_rules, place_of
from authz_sidecar.config.checks.ingress_nginx import ingress_nginx_rules
from authz_sidecar.config.checks.passwords import account_problems
from authz_sidecar.config.checks.records import table_rules
from authz_sidecar.config.checks.server import server_rules
from authz_sidecar.config.checks.stores import STORES, no_store
from authz_sidecar.config.value_parsers import is_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import Found
    from authz_sidecar.errors import Problem

MIN_KEY_BYTES = 32

MOST_HOSTS_TOGETHER = 5
"""Beside a route's own: browsers follow about twenty redirects."""


def problems(config: Config) -> tuple[Problem, ...]:
    rules = (
        _secret_keys,
        server_rules,
        ingress_nginx_rules,
        _sessions,
        caller_rules,
        callback_rules,
        account_problems,
        _cookie_domain,
        header_rules,
        _assertion,
        _dependencies,
        table_rules,
    )
    positions = config.positions
    return tuple(
        positions.problem(message, *path) for rule in rules for message, path in rule(config)
    )


def _secret_keys(config: Config) -> Iterator[Found]:
    for at, key in enumerate(config.secret_keys):
        size = len(key.reveal().encode())
        if size < MIN_KEY_BYTES:
            yield (
                (
                    f"has {size} bytes and needs at least {MIN_KEY_BYTES},"
                    " `authz-sidecar keys new` makes a good one"
                ),
                ("secret_keys", at),
            )
        elif key in config.secret_keys[:at]:
            yield "is the same as one before it", ("secret_keys", at)


def _sessions(config: Config) -> Iterator[Found]:
    sessions = config.sessions
    if problem := no_store(sessions.store, STORES):
        yield problem, ("sessions", "store")
    if sessions.store.reveal().startswith("memory:") and config.server.workers > 1:
        yield "must be 1 with `memory://`, processes do not share memory", ("server", "workers")
    if sessions.lifetime <= 0:
        yield "must be longer than nothing", ("sessions", "lifetime")
    if sessions.idle_timeout <= 0:
        yield "must be longer than nothing", ("sessions", "idle_timeout")
    elif sessions.idle_timeout > sessions.lifetime and "idle_timeout" in sessions.model_fields_set:
        yield "is longer than `sessions.lifetime`", ("sessions", "idle_timeout")
    if sessions.grace > sessions.lifetime:
        yield "is longer than `sessions.lifetime`", ("sessions", "grace")


def _cookie_domain(config: Config) -> Iterator[Found]:
    domain = config.sessions.cookie.domain
    if domain is None:
        return
    for at, route in enumerate(config.routes):
        place = place_of(route)
        if place is None or not asks_for_sign_in(route):
            continue
        if place.host != domain and not place.host.endswith(f".{domain}"):
            yield (
                (
                    f"`{place.host}` is outside `sessions.cookie.domain`, its users could never be"
                    " signed in"
                ),
                ("routes", at, "from"),
            )


def _assertion(config: Config) -> Iterator[Found]:
    if not 1 <= config.assertion.ttl <= 86400:
        yield "must be between `1s` and `1d`", ("assertion", "ttl")
    for at, key in enumerate(config.assertion.signing_keys):
        if not is_private_key(key.reveal()):
            message = "is not a private key in PEM, `authz-sidecar keys new --assertion` makes one"
            yield message, ("assertion", "signing_keys", at)


def _dependencies(config: Config) -> Iterator[Found]:
    for at, route in enumerate(config.routes):
        path = ("routes", at, "depends_on")
        if len(route.depends_on) > MOST_HOSTS_TOGETHER:
            named = len(route.depends_on)
            yield f"names {named} hosts, at most {MOST_HOSTS_TOGETHER} are signed in together", path
        for number, origin in enumerate(route.depends_on):
            if route.from_ == str(origin):
                yield "is the route's own host, which is signed in anyway", (*path, number)
