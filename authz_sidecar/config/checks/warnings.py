"""Warnings: what a configuration may say, though it is probably a mistake or gives up a
guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.config.checks.callbacks import find_callback_warnings
from authz_sidecar.config.checks.ingress_nginx import find_ingress_nginx_warnings
from authz_sidecar.provider_presets import PROVIDER_PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.core.header_template import TemplateReference
    from authz_sidecar.core.source_locations import RuleViolation
    from authz_sidecar.errors import Problem

# `openssl rand -hex 16`, the least random text of 32 bytes that people make, has 16 or fewer;
# a phrase or a row of zeros has fewer still.
_MIN_DISTINCT_CHARACTERS = 10

_KNOWN_REFERENCES = frozenset(
    {"jwt", "client_cert_fingerprint", "client_cert_san_dns", "client_cert_san_email"}
)

_MIN_PREFIX_LENGTHS = {4: 8, 6: 16}


def find_warnings(config: Config) -> tuple[Problem, ...]:
    """Return the warnings about a valid configuration, sorted by location."""
    rules = (
        _weak_keys,
        _large_trusted_networks,
        _insecure_http,
        _shared_cookie,
        _nginx_cache,
        find_ingress_nginx_warnings,
        _unverified_certificates,
        _unreachable_routes,
        _useless_references,
        _unused,
        _unused_passwords,
        find_callback_warnings,
        _unverified_emails,
        _self_service_groups,
        _public_issuers,
        _id_token_audiences,
    )
    source_map = config.source_map
    warnings = (
        source_map.problem(message, *path) for rule in rules for message, path in rule(config)
    )
    return tuple(sorted(warnings))


def _weak_keys(config: Config) -> Iterator[RuleViolation]:
    for index, key in enumerate(config.secret_keys):
        if len(set(key.reveal())) < _MIN_DISTINCT_CHARACTERS:
            yield (
                "does not look random, `authz-sidecar keys new` makes a good one",
                (
                    "secret_keys",
                    index,
                ),
            )


def _large_trusted_networks(config: Config) -> Iterator[RuleViolation]:
    for index, network in enumerate(config.server.trusted_proxies):
        if network.prefixlen < _MIN_PREFIX_LENGTHS[network.version]:
            yield (
                f"`{network}` trusts a large part of the internet",
                (
                    "server",
                    "trusted_proxies",
                    index,
                ),
            )


def _unused_passwords(config: Config) -> Iterator[RuleViolation]:
    if config.basic_auth is not None and not any(route.basic_auth for route in config.routes):
        yield "no route has `basic_auth: true`", ("basic_auth",)


def _insecure_http(config: Config) -> Iterator[RuleViolation]:
    if config.server.auth_host is not None and config.server.auth_host.scheme == "http":
        yield "sessions on `http://` have cookies without `Secure`", ("server", "auth_host")
    for index, route in enumerate(config.routes):
        if route.from_.startswith("http://"):
            yield "sessions on `http://` have cookies without `Secure`", ("routes", index, "from")


def _shared_cookie(config: Config) -> Iterator[RuleViolation]:
    domain = config.sessions.cookie.domain
    if domain is not None:
        yield (
            (
                f"every host under `{domain}` receives the session of every other:"
                " there is no isolation between them"
            ),
            ("sessions", "cookie", "domain"),
        )


def _nginx_cache(config: Config) -> Iterator[RuleViolation]:
    if seconds := config.server.nginx_cache:
        yield (
            f"users who sign out or lose access can pass nginx for up to {seconds + 1:g} more seconds",
            ("server", "nginx_cache"),
        )


def _unverified_certificates(config: Config) -> Iterator[RuleViolation]:
    certificate = config.server.client_certificate
    if certificate is not None and certificate.format == "pem":
        yield (
            (
                "every certificate in this header counts as verified: make the proxy reject invalid ones"
                " (`ssl_verify_client on`), or use `nginx` with `$ssl_client_verify`"
            ),
            ("server", "client_certificate", "format"),
        )


def _unreachable_routes(config: Config) -> Iterator[RuleViolation]:
    if not config.routes:
        yield "there are no routes: every request will be refused", ("routes",)
    base = config.server.base_path
    for index, route in enumerate(config.routes):
        if not _has_allow_rule(route):
            yield "the route has no allow rule, so every request is refused", ("routes", index)
        for key in ("path", "prefix"):
            path = getattr(route, key)
            if path is not None and (path == base or path.startswith(f"{base}/")):
                yield (
                    f"is under `{base}`, which belongs to the sidecar's own pages",
                    (
                        "routes",
                        index,
                        key,
                    ),
                )


def _useless_references(config: Config) -> Iterator[RuleViolation]:
    for index, route in enumerate(config.routes):
        for name, template in route.set_request_headers.items():
            path = ("routes", index, "set_request_headers", name)
            for reference in template.references:
                text = f"`${{{'.'.join(reference)}}}`"
                if not _is_known(reference):
                    yield f"{text} is not a known reference and is always empty", path
                elif (
                    reference[1].startswith("client_cert_")
                    and config.server.client_certificate is None
                ):
                    yield f"{text} is empty without `server.client_certificate`", path


def _is_known(reference: TemplateReference) -> bool:
    match reference:
        case ("pomerium", name):
            return name in _KNOWN_REFERENCES
        case ("pomerium", "request", "headers", _):
            return True
        case _:
            return False


def _has_allow_rule(route: RouteConfig) -> bool:
    return bool(
        route.policy is not None
        or route.policies
        or route.allow_public_unauthenticated_access
        or route.allow_any_authenticated_user
        or route.allowed_domains
        or route.allowed_users
        or route.allowed_idp_claims
    )


def _unused(config: Config) -> Iterator[RuleViolation]:
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


def _unverified_emails(config: Config) -> Iterator[RuleViolation]:
    for name, provider in config.identity_providers.items():
        preset = PROVIDER_PRESETS[provider.type]
        if provider.allow_unverified_email:
            yield (
                "users who can enter any address at this provider can impersonate its owner",
                ("identity_providers", name, "allow_unverified_email"),
            )
        elif preset.defaults.get("require_verified_email") and not provider.require_verified_email:
            message = (
                f"`{preset.name}` says which addresses are verified: with unverified ones, users who can"
                " enter any address can impersonate its owner"
            )
            yield message, ("identity_providers", name, "require_verified_email")
        if not provider.allowed_tenants and preset.tenant_template(provider.issuer) is not None:
            message = (
                "accounts of every organisation can sign in: name your tenant in the issuer, or list"
                " tenants in `allowed_tenants`"
            )
            yield message, ("identity_providers", name, "issuer")


def _self_service_groups(config: Config) -> Iterator[RuleViolation]:
    """A rule about groups does not distinguish between providers."""
    for index, route in enumerate(config.routes):
        provider_names = route.identity_provider or ()
        documents = (route.policy, *map(config.policies.get, route.policies))
        if len(provider_names) < 2 or not any(map(_uses_groups, documents)):
            continue
        for name in provider_names:
            provider = config.identity_providers.get(name)
            if provider and PROVIDER_PRESETS[provider.type].groups_are_self_service:
                yield (
                    (
                        f"users of `{name}` can create a group with the name of another provider's"
                        " group and become its member: give each provider its own route"
                    ),
                    ("routes", index, "identity_provider"),
                )


def _uses_groups(document: object) -> bool:
    match document:
        case Mapping():
            return "groups" in document or any(map(_uses_groups, document.values()))
        case list() | tuple():
            return any(map(_uses_groups, document))
        case _:
            return False


# Anyone can get a token there, for any audience.
_PUBLIC_ISSUERS = ("https://token.actions.githubusercontent.com", "https://gitlab.com")


def _public_issuers(config: Config) -> Iterator[RuleViolation]:
    for index, route in enumerate(config.routes):
        if not (route.allow_any_authenticated_user or route.allow_public_unauthenticated_access):
            continue
        for name in route.token_issuers:
            issuer = config.token_issuers.get(name)
            if issuer and issuer.issuer in _PUBLIC_ISSUERS and not issuer.require:
                yield (
                    (
                        f"every client of `{name}` passes, and anyone can be its client: restrict the"
                        f" tokens in `token_issuers.{name}.require`"
                    ),
                    ("routes", index, "token_issuers"),
                )


def _id_token_audiences(config: Config) -> Iterator[RuleViolation]:
    """RFC 9068 section 5: an ID token is distinguished by its audience, or by its type."""
    clients = {
        (provider.issuer, provider.client_id) for provider in config.identity_providers.values()
    }
    for name, issuer in config.token_issuers.items():
        for audience in issuer.audiences:
            if (issuer.issuer, audience) in clients and "jwt" in issuer.types:
                yield (
                    (
                        f"`{audience}` is the client of an identity provider: its ID tokens would be"
                        " accepted, use another audience or `types: [at+jwt]`"
                    ),
                    ("token_issuers", name, "audiences"),
                )
