"""Rules of a configuration that involve more than one key.

The shape of each key is the schema's business; places of routes and policies are `routes`'.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from authz_sidecar.config.grammar import ListenAddress, TcpAddress
from authz_sidecar.config.passwords import account_problems
from authz_sidecar.config.places import place_of
from authz_sidecar.config.providers import provider_problems
from authz_sidecar.config.stores import STORES, no_store
from authz_sidecar.config.tables import table_rules
from authz_sidecar.core.positions import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.errors import Problem

MIN_KEY_BYTES = 32
MOST_SECONDS_IN_NGINX = 60
MOST_LEEWAY = 300.0
MOST_CACHE = 300.0

MOST_HOSTS_TOGETHER = 5
"""Beside a route's own: browsers follow about twenty redirects."""

# RFC 9110 sections 7 and 10.1: those that frame or route the message, and those that we or the
# proxy own. An identity header of such a name would change what the request is.
_RESERVED_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
        "x-request-id",
    }
)
# What else our cookies are called after their base name: a provider's session has its cookie there.
_RESERVED_PROVIDERS = ("flow", "loop")

_RESERVED_FAMILIES = ("x-forwarded-", "x-original-", "x-envoy-", "x-authz-", "sec-")

_OF_SIGNED_TOKENS = frozenset({"jwks_uri", "algorithms", "types", "bearer_token_file"})

Found = tuple[str, tuple[Step, ...]]


def problems(config: Config) -> tuple[Problem, ...]:
    rules = (
        _secret_keys,
        _listeners,
        _sessions,
        _throttle,
        _nginx_cache,
        _providers,
        account_problems,
        _token_issuers,
        _auth_host,
        _cookie_domain,
        _headers,
        _headers_of_routes,
        _assertion,
        _identity_of_routes,
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


def _providers(config: Config) -> Iterator[Found]:
    providers, default = config.identity_providers, config.default_identity_provider
    for name, provider in providers.items():
        if name.partition("-")[0] in _RESERVED_PROVIDERS:
            yield (
                "this name is taken by a cookie of ours, choose another",
                (
                    "identity_providers",
                    name,
                ),
            )
        for message, key in provider_problems(provider):
            yield message, ("identity_providers", name, *key)
    if default is not None and default not in providers:
        known = ", ".join(f"`{name}`" for name in sorted(providers)) or "none"
        yield (
            f"there is no identity provider `{default}`, configured are: {known}",
            ("default_identity_provider",),
        )
    homeless = next(
        (
            route
            for route in config.routes
            if _asks_for_sign_in(route)
            and not route.identity_provider
            and (providers or not _takes_machines(route))
        ),
        None,
    )
    if homeless is None or default is not None or len(providers) == 1:
        return
    route = f"the route `{homeless.name or homeless.from_}`"
    if providers:
        yield (
            f"`default_identity_provider` is required with several providers, {route} names none",
            ("identity_providers",),
        )
    else:
        yield (
            f"{route} needs somebody to be signed in, and there is no identity provider",
            ("identity_providers",),
        )


def _token_issuers(config: Config) -> Iterator[Found]:
    for name, issuer in config.token_issuers.items():
        at = ("token_issuers", name)
        if name in config.identity_providers:
            yield "is the name of an identity provider, too: people or programs?", at
        if issuer.leeway > MOST_LEEWAY:
            yield "is longer than `5m`", (*at, "leeway")
        if issuer.max_lifetime <= 0:
            yield "must be longer than nothing", (*at, "max_lifetime")
        asked = issuer.introspection
        if asked is not None:
            if not 0 <= asked.cache <= MOST_CACHE:
                yield "must be `5m` at most", (*at, "introspection", "cache")
            for key in _OF_SIGNED_TOKENS & issuer.model_fields_set:
                yield "is of no use with `introspection`, which reads no token", (*at, key)
        elif issuer.bearer_token_file is not None and issuer.issuer.startswith("http://"):
            yield "would be sent without encryption", (*at, "bearer_token_file")


def _asks_for_sign_in(route: RouteConfig) -> bool:
    return not route.allow_public_unauthenticated_access or route.identity == "optional"


def _takes_machines(route: RouteConfig) -> bool:
    """Where nobody can sign in, there may still be somebody to let in."""
    return bool(route.token_issuers) or route.service_accounts or route.basic_auth


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


def _cookie_domain(config: Config) -> Iterator[Found]:
    domain = config.sessions.cookie.domain
    if domain is None:
        return
    for at, route in enumerate(config.routes):
        place = place_of(route)
        if place is None or not _asks_for_sign_in(route):
            continue
        if place.host != domain and not place.host.endswith(f".{domain}"):
            yield (
                (
                    f"`{place.host}` is outside `sessions.cookie.domain`, its users could never be"
                    " signed in"
                ),
                ("routes", at, "from"),
            )


def _headers(config: Config) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for header in config.headers.claims:
        plain = header.lower().replace("_", "-")
        if not is_ours(header):
            yield f"`{header}` is not ours to set", ("headers", "claims", header)
        elif plain in seen:
            yield f"differs from `{seen[plain]}` in spelling only", ("headers", "claims", header)
        seen[plain] = header
    groups = config.headers.groups
    if len(groups) > 1 and {"policy", "all"} & set(groups):
        yield "is `policy`, `all`, or a list of names, not a mixture", ("headers", "groups")
    if (certificate := config.server.client_certificate) is not None:
        plain = certificate.header.lower()
        usual = plain in ("x-forwarded-client-cert", "x-forwarded-tls-client-cert")
        if plain in _RESERVED_HEADERS or (plain.startswith(_RESERVED_FAMILIES) and not usual):
            yield (
                f"`{certificate.header}` says something else",
                (
                    "server",
                    "client_certificate",
                    "header",
                ),
            )


def _headers_of_routes(config: Config) -> Iterator[Found]:
    for at, route in enumerate(config.routes):
        seen: dict[str, str] = {}
        for header in route.set_request_headers:
            path = ("routes", at, "set_request_headers", header)
            first = seen.setdefault(header.lower(), header)
            if not is_ours(header):
                yield f"`{header}` is not ours to set, let the proxy do it", path
            elif first != header:
                yield f"differs from `{first}` in spelling only", path


def is_ours(header: str) -> bool:
    plain = header.lower()
    return plain not in _RESERVED_HEADERS and not plain.startswith(_RESERVED_FAMILIES)


def _assertion(config: Config) -> Iterator[Found]:
    if not 1 <= config.assertion.ttl <= 86400:
        yield "must be between `1s` and `1d`", ("assertion", "ttl")
    for at, key in enumerate(config.assertion.signing_keys):
        if "-----BEGIN" not in key.reveal() or "PRIVATE KEY-----" not in key.reveal():
            message = "is not a private key in PEM, `authz-sidecar keys new --assertion` makes one"
            yield message, ("assertion", "signing_keys", at)


def _identity_of_routes(config: Config) -> Iterator[Found]:
    message = (
        "is for routes with `allow_public_unauthenticated_access: true`, the policy of all others"
        " decides about identity"
    )
    for at, route in enumerate(config.routes):
        if route.identity is not None and not route.allow_public_unauthenticated_access:
            yield message, ("routes", at, "identity")


def _dependencies(config: Config) -> Iterator[Found]:
    for at, route in enumerate(config.routes):
        path = ("routes", at, "depends_on")
        if len(route.depends_on) > MOST_HOSTS_TOGETHER:
            named = len(route.depends_on)
            yield f"names {named} hosts, at most {MOST_HOSTS_TOGETHER} are signed in together", path
        for number, origin in enumerate(route.depends_on):
            if route.from_ == str(origin):
                yield "is the route's own host, which is signed in anyway", (*path, number)
