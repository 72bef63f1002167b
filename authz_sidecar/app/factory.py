"""From a configuration to what serves it."""

from __future__ import annotations

import asyncio
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

from authz_sidecar.adapters.registry import adapters
from authz_sidecar.adapters.trusted_peers import Networks
from authz_sidecar.app.application import Application
from authz_sidecar.app.credentials import own_accounts, token_issuers, token_names
from authz_sidecar.app.identity import groups_told, signing_keys
from authz_sidecar.app.providers import default_providers, providers
from authz_sidecar.app.record_tables import kept_tables
from authz_sidecar.app.sessions import cookies, near_cache, store_of, throttle
from authz_sidecar.check.authorizer import Gate
from authz_sidecar.check.cacheability import Repeating
from authz_sidecar.check.preview import Prospects
from authz_sidecar.check.recent_denials import Denials
from authz_sidecar.check.responses import Answers
from authz_sidecar.config.checks.callbacks import unstated_callbacks
from authz_sidecar.fastpath.service import lane_beside
from authz_sidecar.identity.assertion import AssertionSigner
from authz_sidecar.identity.headers import (
    IdentityHeaders,
    protected_names,
    signs,
    templated_names,
)
from authz_sidecar.identity.templates import Templates
from authz_sidecar.login.context import Desk
from authz_sidecar.login.host_resolution import Hosts
from authz_sidecar.login.service import LoginService
from authz_sidecar.login.token_refresh import Refreshing
from authz_sidecar.observe.check_recorder import CheckRecorder
from authz_sidecar.observe.request_ids import new_request_id, request_ids
from authz_sidecar.observe.store_monitor import StoreWatch
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.routes.model import PASSWORD_FILE, SERVICE_ACCOUNTS
from authz_sidecar.routes_from_config import certificate_header, ruleset
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import Sessions
from authz_sidecar.tokens import Bearers, Callers
from authz_sidecar.tokens.dpop import Nonces
from authz_sidecar.tokens.protected_resource import Resources
from authz_sidecar.web.check_app import CheckApp, address_of
from authz_sidecar.web.login_app import Behind, release, web_app
from authz_sidecar.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.metrics import Metrics


def build(
    config: Config, *, metrics: Metrics, lenient: bool = False, previous: Application | None = None
) -> Application:
    """Raises `ConfigError` with every problem of routes, policies and keys, `StartError` for a
    store that cannot be used. Where `lenient`, broken routes refuse instead, as far as it is known
    where they are. Reaches for nothing yet."""
    tables = kept_tables(config, previous)
    built = ruleset(config, mirrors={name: table.mirror.now for name, table in tables.items()})
    keys = SecretKeys([key.reveal().encode() for key in config.secret_keys])
    fatal = built.unplaced if lenient else built.problems
    keys_that_sign = signing_keys(config, keys, problems=fatal)
    store = store_of(config, previous)
    sessions = Sessions(
        store=store.store,
        secret_keys=keys,
        lifetime=config.sessions.lifetime,
        idle_timeout=config.sessions.idle_timeout,
        machines=frozenset({SERVICE_ACCOUNTS, PASSWORD_FILE, *config.token_issuers}),
        clock=time.time,
    )
    near = near_cache(config, keys, store, previous)
    identity_providers = providers(config, previous)
    session_cookies = cookies(config)
    pages = Pages(base_path=config.server.base_path)
    groups = groups_told(config, built.index)
    signer = AssertionSigner(
        keys_that_sign,
        ttl=config.assertion.ttl,
        groups=groups,
        clock=time.time,
        claims=config.headers.claims.values(),
        later=_later,
    )
    fresh = Refreshing(near, sessions=sessions, providers=identity_providers, clock=time.time)
    limits = throttle(config, sessions)
    issuers = token_issuers(config, previous, throttle=limits)
    # Opaque tokens that nobody else knows are their issuer's to judge: last.
    callers = Callers(
        (
            *own_accounts(config, finder=fresh, sessions=sessions, keys=keys, metrics=metrics),
            Bearers(
                issuers,
                proofs=sessions.notes,
                nonces=Nonces(keys),
                clock=time.time,
                name=token_names(keys),
            ),
        )
    )
    identity_headers = IdentityHeaders(
        preset=config.headers.preset,
        claims=config.headers.claims,
        groups=groups,
        assertion=signer.assertion,
        templates=Templates(assertion=signer.assertion, read_certificate=read_certificate),
        templated=templated_names(built.index.routes),
    )
    certificate = certificate_header(config)
    names = protected_names(
        identity_headers.managed, certificate=None if certificate is None else certificate.name
    )
    answers = Answers(
        cookies=session_cookies,
        strip_cookie=config.server.strip_cookie,
        base_path=config.server.base_path,
        identity_headers=identity_headers,
        pages=pages,
        provider_ready=lambda name: name in identity_providers and identity_providers[name].ready,
        repeating=Repeating(
            seconds=int(config.server.nginx_cache),
            clock=time.time,
            hops=bool(config.server.trusted_hops),
        ),
        challenges=callers.challenges,
    )
    recorder = CheckRecorder(metrics=metrics)
    denials = Denials(
        index=built.index,
        names=names,
        where=config.positions,
        base_path=config.server.base_path,
        recorder=recorder,
        clock=time.time,
        previous=previous.denials if previous else None,
    )
    gate = Gate(
        index=built.index,
        names=names,
        sessions=fresh,
        callers=callers,
        cookies=session_cookies,
        answers=answers,
        recorder=denials,
        clock=time.time,
        timer=time.perf_counter,
        request_id=new_request_id,
    )
    desk = Desk(
        keys=keys,
        sessions=sessions,
        cookies=session_cookies,
        pages=pages,
        recorder=metrics,
        throttle=limits,
        routes=built.index,
        prospects=Prospects(index=built.index, clock=time.time),
        fresh=fresh,
        assertion=signer.expiring,
        providers=identity_providers,
        default_providers=default_providers(config),
        base_path=config.server.base_path,
        auth_host=config.server.auth_host,
        instance=store.instance,
        clock=time.time,
        random=secrets.token_bytes,
    )
    trusted = Networks(config.server.trusted_proxies)
    hops = Networks(config.server.trusted_hops)
    asked = adapters(config.server.adapters, trusted_hops=hops, certificate=certificate)
    check = CheckApp(gate=gate, adapters=asked, trusted=trusted)
    lane = lane_beside(
        gate,
        adapters=asked,
        trusted_hops=hops,
        near=near,
        passed=recorder.passed,
        trusts=check.trusts,
        steady_until=signer.steady_until if signs(config.headers.preset) else _always,
        request_id=partial(next, request_ids()),
    )
    metrics.near_cache(near)
    metrics.tables({name: table.mirror for name, table in tables.items()})
    web = web_app(
        Behind(
            service=LoginService(desk),
            hosts=Hosts(knows=desk.knows),
            jwks=signer.jwks,
            resource=Resources(
                built.index, {name: issuer.settings for name, issuer in issuers.items()}
            ).metadata,
            client_address=address_of(trusted=trusted, hops=hops),
        ),
        base_path=config.server.base_path,
    )
    return Application(
        config=config,
        check=check,
        # What is said of certificates, the lane does not read.
        lane=lane if config.server.fast_lane and config.server.client_certificate is None else None,
        web=web,
        denials=denials,
        route_count=len(built.index.routes),
        problems=built.problems,
        refused=tuple(route.name for route in built.refused),
        unstated=unstated_callbacks(config),
        store=store,
        sessions=sessions,
        near=near,
        providers=identity_providers,
        token_issuers=issuers,
        tables=tables,
        watch=StoreWatch(ready=sessions.ready, on_error=metrics.store_error),
        release=partial(release, web),
        _taken_over=previous.parts() if previous else frozenset(),
    )


def _later(call: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(call)


def _always(_session: object, _origin: object) -> float:
    return float("inf")
