"""One stage per proxy, worker and way to an answer (in the lane, or all in the framework): the real
proxy with the files of `deploy/`, the real sidecar, a
real provider, and an application that records what it receives."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.servers import http2
from tests.servers.caddy import Caddy
from tests.servers.certificate import Certificate, make_certificate
from tests.servers.envoy import Envoy
from tests.servers.haproxy import HAProxy
from tests.servers.ingress_nginx import IngressNginx
from tests.servers.nginx import Nginx
from tests.servers.providers import CLIENT_ID, CLIENT_SECRET, RunningProvider, running_mock_provider
from tests.servers.proxy import (
    APP_HOST,
    AUTH_HOST,
    CERTIFICATE_NAMES,
    GROUP_HOST,
    PUBLIC_HOST,
    Facts,
    Proxy,
    RunningProxy,
    running_proxy,
)
from tests.servers.sidecar import Sidecar, running_sidecar
from tests.servers.tap import Tap
from tests.servers.traefik import Traefik
from tests.servers.upstream import Upstream
from tests.servers.visitor import Visitor
from tests.servers.wire import Lines, Message, Reader, connect, request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROXIES: tuple[Proxy, ...] = (Nginx(), Traefik(), Envoy(), Caddy(), HAProxy())
CONTROLLER = IngressNginx()
DIALECTS: tuple[Proxy, ...] = (*PROXIES, CONTROLLER)
"""Those, and the controller: it says less to a client than the sidecar could."""


def each(*proxies: Proxy) -> list[Any]:
    return [
        pytest.param(proxy, id=proxy.name, marks=pytest.mark.xdist_group(proxy.name))
        for proxy in proxies
    ]


EACH_PROXY = each(*PROXIES)
in_every_dialect = pytest.mark.parametrize(
    "stage_of_proxy", each(*DIALECTS), indirect=True, scope="session"
)
"""For tests of a `stage` whose subject the controller, too, hands on as it is."""

PATHS_HOST = "paths.apps.example.com"
"""Everybody may read below /public/, nobody anything else."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    proxy: RunningProxy
    tap: Tap
    app: Upstream
    sidecar: Sidecar
    provider: RunningProvider
    _cookies: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def kind(self) -> Proxy:
        return self.proxy.proxy

    @property
    def port(self) -> int:
        return self.proxy.places.https

    def visitor(self) -> Visitor:
        return Visitor(proxy_port=self.port)

    def cookie(self, user: str, host: str = APP_HOST) -> tuple[str, str]:
        """The Cookie header of somebody who signed in on a host, once per stage. Ask for it before
        telling the app what to answer: the first time, everything is cleared behind the sign-in."""
        if (user, host) not in self._cookies:
            visitor = self.visitor()
            page = visitor.sign_in(f"https://{host}/", user)
            assert page.host == host, page
            self._cookies[user, host] = visitor.cookie_line(host)
            self.clear()
        return ("Cookie", self._cookies[user, host])

    def send(
        self,
        method: str,
        target: str,
        headers: Lines | list[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        host: str = APP_HOST,
        timeout: float = 20.0,
    ) -> Message:
        """One request with a Host of its own; the answer must come."""
        if body:
            headers = [*headers, ("Content-Length", str(len(body)))]
        answer = self.send_raw(
            request_bytes(method, target, [("Host", host), *headers], body),
            server_name=host,
            method=method,
            timeout=timeout,
        )
        assert answer is not None, self.proxy.log()
        return answer

    def send_raw(
        self,
        raw: bytes,
        *,
        server_name: str = APP_HOST,
        method: str = "GET",
        timeout: float = 20.0,
    ) -> Message | None:
        with contextlib.closing(
            connect(self.port, server_name=server_name, timeout=timeout)
        ) as connection:
            connection.sendall(raw)
            return Reader(connection).answer(to=method)

    def send_http2(
        self,
        headers: Lines,
        body: bytes = b"",
        trailers: Lines = (),
        *,
        server_name: str = APP_HOST,
        stays_open: bool = False,
    ) -> None:
        http2.send(
            self.port,
            server_name=server_name,
            headers=headers,
            body=body,
            trailers=trailers,
            stays_open=stays_open,
        )

    def facts(self) -> Facts:
        """Of the first question since `clear`."""
        return self.kind.facts(self.tap.first().asked)

    def clear(self) -> None:
        self.tap.clear()
        self.app.clear()


@pytest.fixture
def stage(stage_of_proxy: Stage) -> Stage:
    stage_of_proxy.clear()
    return stage_of_proxy


@pytest.fixture(scope="session", params=EACH_PROXY)
def stage_of_proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    provider: RunningProvider,
    sidecar: Sidecar,
) -> Iterator[Stage]:
    with running_stage(
        request.param,
        tmp_path_factory.mktemp(request.param.name),
        certificate=certificate,
        provider=provider,
        sidecar=sidecar,
    ) as stage:
        yield stage


@contextlib.contextmanager
def running_stage(
    proxy: Proxy,
    directory: Path,
    *,
    certificate: Certificate,
    provider: RunningProvider,
    sidecar: Sidecar,
) -> Iterator[Stage]:
    binary = proxy.binary()
    if binary is None:
        unavailable(f"{proxy.name} is not installed")
    app, tap = Upstream(), Tap(sidecar.check)
    try:
        with running_proxy(
            proxy,
            binary,
            directory,
            certificate=certificate,
            check=tap.address,
            web=sidecar.web,
            app=app.address,
        ) as running:
            yield Stage(proxy=running, tap=tap, app=app, sidecar=sidecar, provider=provider)
    finally:
        tap.close()
        app.close()


@contextlib.contextmanager
def running_stage_of(
    config: dict[str, Any],
    proxy: Proxy,
    directory: Path,
    *,
    certificate: Certificate,
    provider: RunningProvider,
) -> Iterator[Stage]:
    """With a sidecar of its own."""
    with (
        running_sidecar(config, directory) as sidecar,
        running_stage(
            proxy, directory, certificate=certificate, provider=provider, sidecar=sidecar
        ) as stage,
    ):
        yield stage


@pytest.fixture(
    scope="session", params=[pytest.param(True, id="lane"), pytest.param(False, id="framework")]
)
def fast_lane(request: pytest.FixtureRequest) -> bool:
    """Whether what can be answered from memory is: nobody outside may notice."""
    return bool(request.param)


@pytest.fixture(scope="session")
def sidecar(
    provider: RunningProvider, tmp_path_factory: pytest.TempPathFactory, *, fast_lane: bool
) -> Iterator[Sidecar]:
    config = sidecar_config(provider.issuer, fast_lane=fast_lane)
    with running_sidecar(config, tmp_path_factory.mktemp("e2e")) as running:
        yield running


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_mock_provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"), CERTIFICATE_NAMES)


def sidecar_config(issuer: str, *, fast_lane: bool) -> dict[str, Any]:
    return {
        "server": {
            "fast_lane": fast_lane,
            "adapters": [proxy.name for proxy in DIALECTS],
            "auth_host": f"https://{AUTH_HOST}",
        },
        "identity_providers": {
            "corp": {
                "type": "oidc",
                "issuer": issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "callback": "own",
                "scopes": ["openid", "profile", "email"],
            }
        },
        "headers": {"groups": "all"},
        "routes": [
            {
                "name": "app",
                "from": f"https://{APP_HOST}",
                "allow_any_authenticated_user": True,
            },
            {
                "name": "admin",
                "from": f"https://{GROUP_HOST}",
                "policy": [{"allow": {"and": [{"groups": {"has": "admins"}}]}}],
            },
            {
                "name": "docs",
                "from": f"https://{PUBLIC_HOST}",
                "allow_public_unauthenticated_access": True,
            },
            {
                "name": "public-paths",
                "from": f"https://{PATHS_HOST}",
                "prefix": "/public/",
                "allow_public_unauthenticated_access": True,
            },
            {
                "name": "closed-paths",
                "from": f"https://{PATHS_HOST}",
                "policy": [{"deny": {"or": [{"accept": True}]}}],
            },
        ],
    }


def unavailable(reason: str) -> NoReturn:
    """Skips loudly; in continuous integration nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
