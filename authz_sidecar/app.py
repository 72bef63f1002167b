"""The composition root: from a configuration to the applications behind the listeners. The only
place that builds things; it decides nothing but who gets what."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.answers import Answers
from authz_sidecar.denials import Denials
from authz_sidecar.errors import ConfigError, StoreUnavailable
from authz_sidecar.gate import Gate
from authz_sidecar.identity.assertion import (
    AssertionSigner,
    SigningKey,
    signing_key_from_pem,
    signing_keys_from,
)
from authz_sidecar.identity.groups import AllGroups, groups_in_policies, groups_named
from authz_sidecar.identity.headers import IdentityHeaders, signs, templated_names
from authz_sidecar.identity.templates import Templates
from authz_sidecar.lane.building import lane_beside
from authz_sidecar.login.claims import ClaimNames, ClaimRules
from authz_sidecar.login.desk import Desk
from authz_sidecar.login.hosts import Hosts
from authz_sidecar.login.provider import Provider, ProviderSettings, Trust
from authz_sidecar.login.refreshing import Refreshing
from authz_sidecar.login.service import LoginService
from authz_sidecar.login.throttle import Limits, Throttle
from authz_sidecar.observe.logging import new_request_id
from authz_sidecar.observe.outage import StoreWatch
from authz_sidecar.observe.record import CheckRecorder
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.proxies.catalogue import adapters
from authz_sidecar.proxies.trust import Networks
from authz_sidecar.ruleset import certificate_header, ruleset
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionCookies, Sessions
from authz_sidecar.sessions.near import NearCache, NearLimits
from authz_sidecar.sessions.opening import open_store
from authz_sidecar.web.check import CheckApp
from authz_sidecar.web.login import web_app
from authz_sidecar.web.pages import Pages
from authz_sidecar.web.peer import address_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.config.schema import Config, IdentityProvider
    from authz_sidecar.core.types import Identity
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.errors import Problem
    from authz_sidecar.lane.service import Lane
    from authz_sidecar.observe.metrics import Metrics
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.sessions import SessionStore

Asgi = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]

READY_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The session store of a process. `instance` tells attempts begun with another process's own
    memory from ours; it is empty where all share one store."""

    url: str
    store: SessionStore
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What one configuration makes of us. `check` and `web` are served, `denials` explains what was
    denied; `problems` are why the routes named in `refused` refuse everything. The rest is kept so
    that a successor may take it over: sessions in memory and providers that did not change."""

    config: Config
    check: Asgi
    lane: Lane | None
    web: Asgi
    denials: Denials
    route_count: int
    problems: tuple[Problem, ...]
    refused: tuple[str, ...]
    store: Store
    sessions: Sessions
    near: NearCache
    providers: Mapping[str, Provider]
    watch: StoreWatch
    _taken_over: frozenset[int] = field(default=frozenset())

    async def start(self) -> None:
        """Reach for providers and store in the background; neither is waited for."""
        self.watch.start()
        self.near.start()
        for provider in self.providers.values():
            if id(provider) not in self._taken_over:
                await provider.start()

    async def aclose(self, *, successor: Application | None = None) -> None:
        """Let go of everything that `successor` has not taken over."""
        await self.watch.aclose()
        await self.near.aclose()
        kept = successor.parts() if successor else frozenset()
        for provider in self.providers.values():
            if id(provider) not in kept:
                await provider.aclose()
        if id(self.store.store) not in kept:
            await self.store.store.aclose()

    def parts(self) -> frozenset[int]:
        return frozenset({id(self.store.store), *map(id, self.providers.values())})

    async def missing(self) -> dict[str, str]:
        """What keeps us from being ready, in words for the operator."""
        missing = {
            f"identity provider `{name}`": "it was not reached yet"
            for name, provider in self.providers.items()
            if not provider.ready
        }
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self.sessions.ready()
        except StoreUnavailable as error:
            missing["session store"] = str(error)
        except TimeoutError:
            missing["session store"] = f"no answer within {READY_SECONDS:g} s"
        return missing


def build(
    config: Config, *, metrics: Metrics, lenient: bool = False, previous: Application | None = None
) -> Application:
    """Raises `ConfigError` with every problem of routes, policies and keys, `StartError` for a
    store that cannot be used. Where `lenient`, broken routes refuse instead, as far as it is known
    where they are. Reaches for nothing yet."""
    built = ruleset(config)
    keys = SecretKeys([key.reveal().encode() for key in config.secret_keys])
    fatal = built.unplaced if lenient else built.problems
    signing_keys = _signing_keys(config, keys, problems=fatal)
    store = _store(config, previous)
    sessions = Sessions(
        store=store.store,
        secret_keys=keys,
        lifetime=config.sessions.lifetime,
        idle_timeout=config.sessions.idle_timeout,
        clock=time.time,
    )
    near = NearCache(
        store.store,
        secret_keys=keys,
        idle_timeout=config.sessions.idle_timeout,
        grace=config.sessions.grace,
        limits=NearLimits(
            entries=config.sessions.near_cache.entries,
            bytes=config.sessions.near_cache.mebibytes << 20,
        ),
        counts=previous.near.counts if previous else None,
    )
    providers = _providers(config, previous)
    cookies = _cookies(config)
    pages = Pages(base_path=config.server.base_path)
    groups = _groups(config, built.index)
    signer = AssertionSigner(
        signing_keys,
        ttl=config.assertion.ttl,
        groups=groups,
        clock=time.time,
        claims=config.headers.claims.values(),
        later=_later,
    )
    answers = Answers(
        cookies=cookies,
        strip_cookie=config.server.strip_cookie,
        base_path=config.server.base_path,
        identity_headers=IdentityHeaders(
            preset=config.headers.preset,
            claims=config.headers.claims,
            groups=groups,
            assertion=signer.assertion,
            templates=Templates(assertion=signer.assertion, read_certificate=read_certificate),
            templated=templated_names(built.index.routes),
        ),
        pages=pages,
        provider_ready=lambda name: name in providers and providers[name].ready,
    )
    recorder = CheckRecorder(metrics=metrics)
    denials = Denials(
        index=built.index,
        where=config.positions,
        base_path=config.server.base_path,
        recorder=recorder,
        clock=time.time,
        previous=previous.denials if previous else None,
    )
    gate = Gate(
        index=built.index,
        sessions=Refreshing(near, sessions=sessions, providers=providers, clock=time.time),
        cookies=cookies,
        answers=answers,
        recorder=denials,
        clock=time.time,
        timer=time.perf_counter,
        request_id=new_request_id,
    )
    desk = Desk(
        keys=keys,
        sessions=sessions,
        cookies=cookies,
        pages=pages,
        recorder=metrics,
        throttle=_throttle(config, sessions),
        routes=built.index,
        providers=providers,
        default_providers=_default_providers(config),
        base_path=config.server.base_path,
        auth_host=config.server.auth_host,
        instance=store.instance,
        clock=time.time,
        random=secrets.token_bytes,
    )
    trusted = Networks(config.server.trusted_proxies)
    hops = Networks(config.server.trusted_hops)
    asked = adapters(
        config.server.adapters, trusted_hops=hops, certificate=certificate_header(config)
    )
    check = CheckApp(gate=gate, adapters=asked, trusted=trusted)
    lane = lane_beside(
        gate,
        adapters=asked,
        trusted_hops=hops,
        near=near,
        passed=recorder.passed,
        trusts=check.trusts,
        steady_until=signer.steady_until if signs(config.headers.preset) else _always,
        request_id=lambda: secrets.token_hex(8),
    )
    metrics.near_cache(near)
    return Application(
        config=config,
        check=check,
        # What is said of certificates, the lane does not read.
        lane=lane if config.server.fast_lane and config.server.client_certificate is None else None,
        web=web_app(
            LoginService(desk),
            hosts=Hosts(knows=desk.knows),
            base_path=config.server.base_path,
            jwks=signer.jwks,
            client_address=address_of(trusted=trusted, hops=hops),
        ),
        denials=denials,
        route_count=len(built.index.routes),
        problems=built.problems,
        refused=tuple(route.name for route in built.refused),
        store=store,
        sessions=sessions,
        near=near,
        providers=providers,
        watch=StoreWatch(ready=sessions.ready, on_error=metrics.store_error),
        _taken_over=previous.parts() if previous else frozenset(),
    )


def _later(call: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(call)


def _always(_session: object, _origin: object) -> float:
    return float("inf")


def _throttle(config: Config, sessions: Sessions) -> Throttle:
    throttle = config.server.throttle
    limits = Limits(requests=throttle.requests, window=throttle.window, exempt=throttle.exempt)
    return Throttle(sessions, limits=limits, clock=time.time)


def _store(config: Config, previous: Application | None) -> Store:
    url = config.sessions.store.reveal()
    if previous is not None and previous.store.url == url:
        return previous.store
    own = url.startswith("memory:")
    return Store(url=url, store=open_store(url), instance=secrets.token_hex(4) if own else "")


def _providers(config: Config, previous: Application | None) -> dict[str, Provider]:
    old = previous.providers if previous else {}
    trust, providers = Trust(), {}
    for name, configured in config.identity_providers.items():
        settings = _provider_settings(name, configured)
        same = name in old and old[name].settings == settings
        providers[name] = old[name] if same else Provider(settings, clock=time.time, trust=trust)
    return providers


def _provider_settings(name: str, provider: IdentityProvider) -> ProviderSettings:
    secret, claims = provider.client_secret, provider.claims
    return ProviderSettings(
        name=name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=None if secret is None else secret.reveal(),
        response_mode=provider.response_mode,
        scopes=provider.scopes,
        claims=ClaimRules(
            names=ClaimNames(
                user=claims.user, email=claims.email, groups=claims.groups, name=claims.name
            ),
            require_verified_email=provider.require_verified_email,
            allow_unverified_email=provider.allow_unverified_email,
        ),
        algorithms=provider.algorithms,
        client_authentication=provider.client_authentication,
    )


def _default_providers(config: Config) -> tuple[str, ...]:
    if config.default_identity_provider is not None:
        return (config.default_identity_provider,)
    return tuple(config.identity_providers)


def _cookies(config: Config) -> SessionCookies:
    cookie = config.sessions.cookie
    return SessionCookies(
        name=cookie.name,
        same_site=cookie.same_site,
        domain=cookie.domain,
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
    )


def _groups(config: Config, index: RouteIndex) -> Callable[[Identity, Origin], tuple[str, ...]]:
    match config.headers.groups:
        case ("all",):
            return AllGroups()
        case ("policy",):
            return groups_in_policies(index)
        case names:
            return groups_named(names)


def _signing_keys(
    config: Config, keys: SecretKeys, *, problems: tuple[Problem, ...]
) -> tuple[SigningKey, ...]:
    """The last things that can be wrong with a configuration, told together with `problems`."""
    found, wrong = [], list(problems)
    for place, pem in enumerate(config.assertion.signing_keys):
        try:
            found.append(signing_key_from_pem(pem.reveal().encode()))
        except ValueError as error:
            path = ("assertion", "signing_keys", place)
            wrong.append(config.positions.problem(str(error), *path))
    if wrong:
        raise ConfigError(tuple(sorted(wrong)))
    return tuple(found) or signing_keys_from(keys)
