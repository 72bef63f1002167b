"""Builds the application of a configuration."""

from __future__ import annotations

import asyncio
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

from authz_sidecar.adapters.registry import enabled_adapters
from authz_sidecar.adapters.trusted_peers import NetworkSet
from authz_sidecar.app.application import Application
from authz_sidecar.app.credentials import local_authenticators, token_fingerprint, token_verifiers
from authz_sidecar.app.identity import group_filter, signing_keys
from authz_sidecar.app.providers import build_providers, default_providers
from authz_sidecar.app.record_tables import redis_record_tables
from authz_sidecar.app.sessions import near_cache, rate_limiter, session_cookies, session_store
from authz_sidecar.check.authorizer import Authorizer
from authz_sidecar.check.cacheability import ResponseCacheability
from authz_sidecar.check.preview import DecisionPreview
from authz_sidecar.check.recent_denials import RecentDenials
from authz_sidecar.check.responses import ResponseFactory
from authz_sidecar.config.checks.callbacks import find_missing_callbacks
from authz_sidecar.fastpath.service import build_fast_path
from authz_sidecar.identity.assertion import AssertionSigner
from authz_sidecar.identity.headers import (
    IdentityHeaders,
    includes_assertion,
    protected_names,
    template_header_names,
)
from authz_sidecar.identity.templates import TemplateRenderer
from authz_sidecar.login.context import LoginContext
from authz_sidecar.login.host_resolution import HostResolver
from authz_sidecar.login.service import LoginService
from authz_sidecar.login.token_refresh import RefreshingSessionFinder
from authz_sidecar.observe.check_recorder import CheckRecorder
from authz_sidecar.observe.request_ids import generate_request_ids, new_request_id
from authz_sidecar.observe.store_monitor import StoreMonitor
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.routes.model import PASSWORD_FILE, SERVICE_ACCOUNTS
from authz_sidecar.routes_from_config import certificate_header, compile_routes
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.tokens import AccessTokenAuthenticator, AuthenticatorChain
from authz_sidecar.tokens.dpop import DPoPNonces
from authz_sidecar.tokens.protected_resource import ProtectedResources
from authz_sidecar.web.check_app import CheckApp, client_address_resolver
from authz_sidecar.web.login_app import LoginServices, build_web_app, release
from authz_sidecar.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.metrics import Metrics


def build_application(
    config: Config, *, metrics: Metrics, lenient: bool = False, previous: Application | None = None
) -> Application:
    """Return the application of a configuration, not started yet; it opens no connection.

    `lenient`: broken routes refuse their requests instead of failing the build, if it is known
      where they are.
    `previous`: the application whose unchanged parts are taken over.

    Raises `ConfigError` with every problem of routes, policies and keys, and `StartupError` for a
    store that cannot be used.
    """
    tables = redis_record_tables(config, previous)
    compiled = compile_routes(
        config, snapshots={name: table.snapshot.current for name, table in tables.items()}
    )
    keys = SecretKeys([key.reveal().encode() for key in config.secret_keys])
    fatal_problems = compiled.without_location if lenient else compiled.problems
    assertion_keys = signing_keys(config, keys, problems=fatal_problems)
    store = session_store(config, previous)
    sessions = SessionService(
        store=store.store,
        secret_keys=keys,
        lifetime=config.sessions.lifetime,
        idle_timeout=config.sessions.idle_timeout,
        reserved_namespaces=frozenset({SERVICE_ACCOUNTS, PASSWORD_FILE, *config.token_issuers}),
        clock=time.time,
    )
    session_cache = near_cache(config, keys, store, previous)
    identity_providers = build_providers(config, previous)
    cookies = session_cookies(config)
    pages = Pages(base_path=config.server.base_path)
    groups_of_host = group_filter(config, compiled.index)
    assertion_signer = AssertionSigner(
        assertion_keys,
        ttl=config.assertion.ttl,
        group_filter=groups_of_host,
        clock=time.time,
        extra_claims=config.headers.claims.values(),
        run_when_idle=_call_soon,
    )
    session_finder = RefreshingSessionFinder(
        session_cache, sessions=sessions, providers=identity_providers, clock=time.time
    )
    limiter = rate_limiter(config, sessions)
    verifiers = token_verifiers(config, previous, rate_limiter=limiter)
    # Last: an opaque token that no other authenticator knows is introspected at its issuer.
    authenticators = AuthenticatorChain(
        (
            *local_authenticators(
                config, session_finder=session_finder, sessions=sessions, keys=keys, metrics=metrics
            ),
            AccessTokenAuthenticator(
                verifiers,
                replay_guard=sessions.one_time,
                nonces=DPoPNonces(keys),
                clock=time.time,
                fingerprint=token_fingerprint(keys),
            ),
        )
    )
    identity_headers = IdentityHeaders(
        preset=config.headers.preset,
        claims=config.headers.claims,
        group_filter=groups_of_host,
        assertion_for=assertion_signer.assertion_for,
        templates=TemplateRenderer(
            assertion_for=assertion_signer.assertion_for, read_certificate=read_certificate
        ),
        template_headers=template_header_names(compiled.index.routes),
    )
    certificate = certificate_header(config)
    names = protected_names(
        identity_headers.managed_names,
        certificate=None if certificate is None else certificate.name,
    )
    responses = ResponseFactory(
        cookies=cookies,
        strip_cookie=config.server.strip_cookie,
        base_path=config.server.base_path,
        identity_headers=identity_headers,
        pages=pages,
        provider_ready=lambda name: name in identity_providers and identity_providers[name].ready,
        cacheability=ResponseCacheability(
            max_seconds=int(config.server.nginx_cache),
            clock=time.time,
            behind_other_proxies=bool(config.server.trusted_hops),
        ),
        challenges=authenticators.challenges,
    )
    recorder = CheckRecorder(metrics=metrics)
    denials = RecentDenials(
        index=compiled.index,
        names=names,
        source_map=config.source_map,
        base_path=config.server.base_path,
        recorder=recorder,
        clock=time.time,
        previous=previous.denials if previous else None,
    )
    authorizer = Authorizer(
        index=compiled.index,
        names=names,
        sessions=session_finder,
        authenticators=authenticators,
        cookies=cookies,
        responses=responses,
        recorder=denials,
        clock=time.time,
        timer=time.perf_counter,
        request_id=new_request_id,
    )
    login_context = LoginContext(
        keys=keys,
        sessions=sessions,
        cookies=cookies,
        pages=pages,
        recorder=metrics,
        rate_limiter=limiter,
        routes=compiled.index,
        preview=DecisionPreview(index=compiled.index, clock=time.time),
        refreshed_sessions=session_finder,
        assertion=assertion_signer.assertion_and_expiry,
        providers=identity_providers,
        default_providers=default_providers(config),
        base_path=config.server.base_path,
        auth_host=config.server.auth_host,
        instance=store.instance,
        clock=time.time,
        random=secrets.token_bytes,
    )
    trusted_peers = NetworkSet(config.server.trusted_proxies)
    trusted_hops = NetworkSet(config.server.trusted_hops)
    adapters = enabled_adapters(
        config.server.adapters, trusted_hops=trusted_hops, certificate=certificate
    )
    check_app = CheckApp(authorizer=authorizer, adapters=adapters, trusted_peers=trusted_peers)
    fast_path = build_fast_path(
        authorizer,
        adapters=adapters,
        trusted_hops=trusted_hops,
        sessions=session_cache,
        count_allowed=recorder.allowed_counter,
        is_trusted=check_app.is_trusted_connection,
        headers_stable_until=assertion_signer.stable_until
        if includes_assertion(config.headers.preset)
        else _never_changes,
        request_id=partial(next, generate_request_ids()),
    )
    metrics.track_near_cache(session_cache)
    metrics.track_record_tables({name: table.snapshot for name, table in tables.items()})
    web = build_web_app(
        LoginServices(
            login=LoginService(login_context),
            hosts=HostResolver(is_known=login_context.is_known_origin),
            jwks=assertion_signer.jwks,
            resource_metadata=ProtectedResources(
                compiled.index, {name: verifier.settings for name, verifier in verifiers.items()}
            ).metadata,
            client_address=client_address_resolver(
                trusted_peers=trusted_peers, trusted_hops=trusted_hops
            ),
        ),
        base_path=config.server.base_path,
    )
    return Application(
        config=config,
        check_app=check_app,
        # The fast path does not parse client certificates.
        fast_path=fast_path
        if config.server.fast_lane and config.server.client_certificate is None
        else None,
        web_app=web,
        denials=denials,
        route_count=len(compiled.index.routes),
        problems=compiled.problems,
        refused_routes=tuple(route.name for route in compiled.misconfigured),
        missing_callbacks=find_missing_callbacks(config),
        store=store,
        sessions=sessions,
        near_cache=session_cache,
        providers=identity_providers,
        token_verifiers=verifiers,
        record_tables=tables,
        store_monitor=StoreMonitor(
            check_ready=sessions.check_ready, on_error=metrics.count_store_error
        ),
        release=partial(release, web),
        _inherited_parts=previous.shared_parts() if previous else frozenset(),
    )


def _call_soon(call: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(call)


def _never_changes(_session: object, _origin: object) -> float:
    return float("inf")
