"""Rules of a configuration that involve more than one key.

The schema validates each key; `routes` checks patterns and policies. Rules about one section of the
configuration are in the module of that section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.callbacks import check_callbacks
from authz_sidecar.config.checks.credentials import check_credentials, uses_login
from authz_sidecar.config.checks.headers import check_headers, route_origin
from authz_sidecar.config.checks.ingress_nginx import check_ingress_nginx
from authz_sidecar.config.checks.passwords import check_accounts
from authz_sidecar.config.checks.records import check_records
from authz_sidecar.config.checks.server import check_server
from authz_sidecar.config.checks.stores import STORE_SCHEMES, store_url_problem
from authz_sidecar.config.value_parsers import looks_like_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import RuleViolation
    from authz_sidecar.errors import Problem

MIN_KEY_BYTES = 32

MAX_DEPENDENT_HOSTS = 5
"""Hosts beside the route's own: browsers follow about twenty redirects."""


def find_problems(config: Config) -> tuple[Problem, ...]:
    """Return every violation of these rules, with its source location."""
    rules = (
        _check_secret_keys,
        check_server,
        check_ingress_nginx,
        _check_sessions,
        check_credentials,
        check_callbacks,
        check_accounts,
        _check_cookie_domain,
        check_headers,
        _check_assertion,
        _check_dependencies,
        check_records,
    )
    source_map = config.source_map
    return tuple(
        source_map.problem(message, *path) for rule in rules for message, path in rule(config)
    )


def _check_secret_keys(config: Config) -> Iterator[RuleViolation]:
    for index, key in enumerate(config.secret_keys):
        size = len(key.reveal().encode())
        if size < MIN_KEY_BYTES:
            yield (
                (
                    f"has {size} bytes and needs at least {MIN_KEY_BYTES},"
                    " `authz-sidecar keys new` makes a good one"
                ),
                ("secret_keys", index),
            )
        elif key in config.secret_keys[:index]:
            yield "repeats an earlier key", ("secret_keys", index)


def _check_sessions(config: Config) -> Iterator[RuleViolation]:
    sessions = config.sessions
    if problem := store_url_problem(sessions.store, STORE_SCHEMES):
        yield problem, ("sessions", "store")
    if sessions.store.reveal().startswith("memory:") and config.server.workers > 1:
        yield "must be 1 with `memory://`, processes do not share memory", ("server", "workers")
    if sessions.lifetime <= 0:
        yield "must be greater than zero", ("sessions", "lifetime")
    if sessions.idle_timeout <= 0:
        yield "must be greater than zero", ("sessions", "idle_timeout")
    elif sessions.idle_timeout > sessions.lifetime and "idle_timeout" in sessions.model_fields_set:
        yield "is longer than `sessions.lifetime`", ("sessions", "idle_timeout")
    if sessions.grace > sessions.lifetime:
        yield "is longer than `sessions.lifetime`", ("sessions", "grace")


def _check_cookie_domain(config: Config) -> Iterator[RuleViolation]:
    domain = config.sessions.cookie.domain
    if domain is None:
        return
    for index, route in enumerate(config.routes):
        origin = route_origin(route)
        if origin is None or not uses_login(route):
            continue
        if origin.host != domain and not origin.host.endswith(f".{domain}"):
            yield (
                (
                    f"`{origin.host}` is outside `sessions.cookie.domain`, so users could not sign"
                    " in there"
                ),
                ("routes", index, "from"),
            )


def _check_assertion(config: Config) -> Iterator[RuleViolation]:
    if not 1 <= config.assertion.ttl <= 86400:
        yield "must be between `1s` and `1d`", ("assertion", "ttl")
    for index, key in enumerate(config.assertion.signing_keys):
        if not looks_like_private_key(key.reveal()):
            message = "is not a private key in PEM, `authz-sidecar keys new --assertion` makes one"
            yield message, ("assertion", "signing_keys", index)


def _check_dependencies(config: Config) -> Iterator[RuleViolation]:
    for index, route in enumerate(config.routes):
        path = ("routes", index, "depends_on")
        if len(route.depends_on) > MAX_DEPENDENT_HOSTS:
            count = len(route.depends_on)
            yield f"names {count} hosts, at most {MAX_DEPENDENT_HOSTS} are signed in together", path
        for position, origin in enumerate(route.depends_on):
            if route.from_ == str(origin):
                yield "is the route's own host", (*path, position)
