"""What is allowed in a configuration and still deserves a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.config.checks.callbacks import callback_warnings
from authz_sidecar.config.checks.ingress_nginx import ingress_nginx_warnings
from authz_sidecar.provider_presets import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.core.header_template import Reference
    from authz_sidecar.core.source_locations import Found
    from authz_sidecar.errors import Problem

# `openssl rand -hex 16`, the least random text of 32 bytes that people make, has 16 or fewer;
# a phrase or a row of zeros has fewer still.
_MIN_DISTINCT = 10

_REFERENCES = frozenset(
    {"jwt", "client_cert_fingerprint", "client_cert_san_dns", "client_cert_san_email"}
)

_WIDEST = {4: 8, 6: 16}


def find_warnings(config: Config) -> tuple[Problem, ...]:
    rules = (
        _weak_keys,
        _trusted,
        _insecure,
        _shared_cookie,
        _nginx_cache,
        ingress_nginx_warnings,
        _bare_certificate,
        _routes,
        _templates,
        _unused,
        _unused_passwords,
        callback_warnings,
        _unverified,
        _groups_of_anybody,
        _open_issuers,
        _id_tokens,
    )
    positions = config.positions
    found = (positions.problem(message, *path) for rule in rules for message, path in rule(config))
    return tuple(sorted(found))


def _weak_keys(config: Config) -> Iterator[Found]:
    for at, key in enumerate(config.secret_keys):
        if len(set(key.reveal())) < _MIN_DISTINCT:
            yield (
                "does not look random, `authz-sidecar keys new` makes a good one",
                (
                    "secret_keys",
                    at,
                ),
            )


def _trusted(config: Config) -> Iterator[Found]:
    for at, network in enumerate(config.server.trusted_proxies):
        if network.prefixlen < _WIDEST[network.version]:
            yield (
                f"`{network}` trusts a large part of the internet",
                (
                    "server",
                    "trusted_proxies",
                    at,
                ),
            )


def _unused_passwords(config: Config) -> Iterator[Found]:
    if config.basic_auth is not None and not any(route.basic_auth for route in config.routes):
        yield "no route takes these users, with `basic_auth: true`", ("basic_auth",)


def _insecure(config: Config) -> Iterator[Found]:
    if config.server.auth_host is not None and config.server.auth_host.scheme == "http":
        yield "sessions on `http://` have cookies without `Secure`", ("server", "auth_host")
    for at, route in enumerate(config.routes):
        if route.from_.startswith("http://"):
            yield "sessions on `http://` have cookies without `Secure`", ("routes", at, "from")


def _shared_cookie(config: Config) -> Iterator[Found]:
    domain = config.sessions.cookie.domain
    if domain is not None:
        yield (
            (
                f"every host under `{domain}` receives the session of every other:"
                " there is no isolation between them"
            ),
            ("sessions", "cookie", "domain"),
        )


def _nginx_cache(config: Config) -> Iterator[Found]:
    if seconds := config.server.nginx_cache:
        yield (
            f"who is signed out or loses a right may pass nginx for {seconds + 1:g} seconds more",
            ("server", "nginx_cache"),
        )


def _bare_certificate(config: Config) -> Iterator[Found]:
    certificate = config.server.client_certificate
    if certificate is not None and certificate.format == "pem":
        yield (
            (
                "every certificate that arrives counts as valid: see that the proxy refuses all others"
                " (`ssl_verify_client on`), or use `nginx` with `$ssl_client_verify`"
            ),
            ("server", "client_certificate", "format"),
        )


def _routes(config: Config) -> Iterator[Found]:
    if not config.routes:
        yield "there are no routes: every request will be refused", ("routes",)
    base = config.server.base_path
    for at, route in enumerate(config.routes):
        if not _says_who(route):
            yield "nobody can pass, the route says of nobody that they may", ("routes", at)
        for key in ("path", "prefix"):
            path = getattr(route, key)
            if path is not None and (path == base or path.startswith(f"{base}/")):
                yield (
                    f"is under `{base}`, which belongs to the sidecar's own pages",
                    (
                        "routes",
                        at,
                        key,
                    ),
                )


def _templates(config: Config) -> Iterator[Found]:
    for at, route in enumerate(config.routes):
        for name, template in route.set_request_headers.items():
            path = ("routes", at, "set_request_headers", name)
            for reference in template.references:
                written = f"`${{{'.'.join(reference)}}}`"
                if not _is_known(reference):
                    yield f"{written} is no reference, it is always empty", path
                elif (
                    reference[1].startswith("client_cert_")
                    and config.server.client_certificate is None
                ):
                    yield f"{written} is empty without `server.client_certificate`", path


def _is_known(reference: Reference) -> bool:
    match reference:
        case ("pomerium", name):
            return name in _REFERENCES
        case ("pomerium", "request", "headers", _):
            return True
        case _:
            return False


def _says_who(route: RouteConfig) -> bool:
    return bool(
        route.policy is not None
        or route.policies
        or route.allow_public_unauthenticated_access
        or route.allow_any_authenticated_user
        or route.allowed_domains
        or route.allowed_users
        or route.allowed_idp_claims
    )


def _unused(config: Config) -> Iterator[Found]:
    used = {name for route in config.routes for name in route.policies}
    for name in config.policies:
        if name not in used:
            yield "no route uses this policy", ("policies", name)
    issuers = {name for route in config.routes for name in route.token_issuers}
    for name in config.token_issuers:
        if name not in issuers:
            yield "no route accepts its tokens", ("token_issuers", name)
    if config.server.strip_cookie is False:
        yield "apps will receive the session's cookie", ("server", "strip_cookie")


def _unverified(config: Config) -> Iterator[Found]:
    for name, provider in config.identity_providers.items():
        kind = KINDS[provider.type]
        if provider.allow_unverified_email:
            yield (
                "whoever can enter any address there passes as its owner",
                ("identity_providers", name, "allow_unverified_email"),
            )
        elif kind.defaults.get("require_verified_email") and not provider.require_verified_email:
            message = (
                f"`{kind.name}` says which addresses are verified, believing others lets whoever can"
                " enter any pass as its owner"
            )
            yield message, ("identity_providers", name, "require_verified_email")
        if not provider.allowed_tenants and kind.tenant_template(provider.issuer) is not None:
            message = (
                "everybody with an account in any organisation can sign in: name yours in the issuer,"
                " or several in `allowed_tenants`"
            )
            yield message, ("identity_providers", name, "issuer")


def _groups_of_anybody(config: Config) -> Iterator[Found]:
    """A rule about groups does not ask whose they are."""
    for at, route in enumerate(config.routes):
        several = route.identity_provider or ()
        documents = (route.policy, *map(config.policies.get, route.policies))
        if len(several) < 2 or not any(map(_asks_for_groups, documents)):
            continue
        for name in several:
            provider = config.identity_providers.get(name)
            if provider and KINDS[provider.type].groups_by_anybody:
                yield (
                    (
                        f"whoever makes a group at `{name}` that is called like one of another"
                        " provider's passes for its member: give each provider a route"
                    ),
                    ("routes", at, "identity_provider"),
                )


def _asks_for_groups(document: object) -> bool:
    match document:
        case Mapping():
            return "groups" in document or any(map(_asks_for_groups, document.values()))
        case list() | tuple():
            return any(map(_asks_for_groups, document))
        case _:
            return False


# Whoever has an account there gets a token there, for any audience.
_OPEN_TO_THE_WORLD = ("https://token.actions.githubusercontent.com", "https://gitlab.com")


def _open_issuers(config: Config) -> Iterator[Found]:
    for at, route in enumerate(config.routes):
        if not (route.allow_any_authenticated_user or route.allow_public_unauthenticated_access):
            continue
        for name in route.token_issuers:
            issuer = config.token_issuers.get(name)
            if issuer and issuer.issuer in _OPEN_TO_THE_WORLD and not issuer.require:
                yield (
                    (
                        f"anybody's program passes with a token of `{name}`, which serves the whole"
                        f" world: say in `token_issuers.{name}.require` whose"
                    ),
                    ("routes", at, "token_issuers"),
                )


def _id_tokens(config: Config) -> Iterator[Found]:
    """RFC 9068 section 5: an ID token is distinguished by its audience, or by its type."""
    clients = {(each.issuer, each.client_id) for each in config.identity_providers.values()}
    for name, issuer in config.token_issuers.items():
        for audience in issuer.audiences:
            if (issuer.issuer, audience) in clients and "jwt" in issuer.types:
                yield (
                    (
                        f"`{audience}` is the client of an identity provider: its ID tokens would"
                        " count, use an audience of its own or `types: [at+jwt]`"
                    ),
                    ("token_issuers", name, "audiences"),
                )
