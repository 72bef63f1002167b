"""The house with its sidecar, provider and Redis running, and a vector sent to it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from tests.corpus.client import TRUSTED_PEER, UNTRUSTED_PEER, send
from tests.corpus.deployment import APP, COOKIE, HOSTS, configuration, public_route
from tests.corpus.people import USER_NAMES
from tests.corpus.placeholders import LOGGED_OUT_USER, PlaceholderValues
from tests.corpus.vectors import UnsupportedVector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpus.people import UserSessions
    from tests.corpus.provider import CorpusProvider
    from tests.corpus.vectors import Vector
    from tests.servers.redis import RedisServer
    from tests.servers.sidecar import Sidecar
    from tests.servers.wire import Message

MAX_PARALLEL = 20
_ALLOWED_FIRST = re.compile(r"after: (\w+) 200 on ([a-z.]+)")
_SENT_TWICE = re.compile(r"(?i).*\b(twice|second time|same request|once before)\b.*")


@dataclass(frozen=True, kw_only=True)
class DeploymentSnapshot:
    """`provider_requests` counts what the provider was asked, by path; `store_keys` are those in
    the store."""

    log_size: int
    store_keys: tuple[str, ...]
    provider_requests: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class CorpusDeployment:
    sidecar: Sidecar
    users: UserSessions
    provider: CorpusProvider
    redis: RedisServer

    def placeholder_values(self, vector: Vector) -> PlaceholderValues:
        return PlaceholderValues(users=self.users, vector=vector, host=requested_host(vector))

    def take_snapshot(self) -> DeploymentSnapshot:
        asked = {path: self.provider.server.asked_for(path) for path in ("/token", "/jwks")}
        size = self.sidecar.log_path.stat().st_size
        return DeploymentSnapshot(
            log_size=size, store_keys=self.list_store_keys(), provider_requests=asked
        )

    def list_store_keys(self) -> tuple[str, ...]:
        """Counters of the throttle aside; nothing where there is no store."""
        with contextlib.suppress(RedisError):
            return tuple(name for name in self.redis.all_keys() if not name.startswith("az:c:"))
        return ()

    def send_vector(self, vector: Vector) -> Iterator[Message]:
        """The answers to a vector whose placeholders are filled in; each must come."""
        if vector.is_parallel and vector.repeat > 1:
            with ThreadPoolExecutor(min(vector.repeat, MAX_PARALLEL)) as pool:
                yield from pool.map(self._send, [vector] * vector.repeat)
            return
        for _ in range(vector.repeat):
            yield self._send(vector)

    def read_log(self, *, offset: int) -> list[dict[str, Any]]:
        text = self.sidecar.log_path.read_bytes()[offset:].decode(errors="replace")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["logger"].startswith("authz_sidecar")]

    def check(self, host: str, path: str = "/", *, token: str) -> Message:
        """A check as Traefik asks it, with a session."""
        headers = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Uri", path),
            ("Host", str(self.sidecar.check)),
            ("Accept", "text/html"),
            ("Cookie", f"{COOKIE}={token}"),
        ]
        return send(
            self.sidecar.check, method="GET", target="/auth/traefik", headers=tuple(headers)
        )

    @contextlib.contextmanager
    def preconditions(self, vector: Vector) -> Iterator[None]:
        """What a vector says was there before, or is at the same time."""
        if vector.sequence:
            self._send_sequence(vector)
        if "/was-public" in "".join(vector.values("x-forwarded-uri")):
            self._reload_config(public_route("/was-public"))
            assert self._send(vector).status == 200
            self._reload_config()
        with self._inject_fault(vector.setup):
            yield

    @contextlib.contextmanager
    def _inject_fault(self, setup: str) -> Iterator[None]:
        match setup:
            case "":
                yield
            case "redis down":
                self.redis.stop()
                try:
                    yield
                finally:
                    self._restore_redis(self.redis.start)
            case "redis hang":
                self.redis.pause()
                try:
                    yield
                finally:
                    self._restore_redis(self.redis.resume)
            case _:
                raise UnsupportedVector(f"unknown setup `{setup}`")

    def _restore_redis(self, restore: Any) -> None:
        restore()
        self.users.clear()
        self.sidecar.wait_for("/readyz")

    def _send_sequence(self, vector: Vector) -> None:
        if found := _ALLOWED_FIRST.fullmatch(vector.sequence):
            user, host = found[1], found[2]
            if user not in USER_NAMES or host not in HOSTS:
                raise UnsupportedVector(f"unknown sequence `{vector.sequence}`")
            assert self.check(host, token=self.users.session_cookie(user, host=host)).status == 200
        elif _SENT_TWICE.fullmatch(vector.sequence):
            self._send(vector)
        else:
            raise UnsupportedVector(f"unknown sequence `{vector.sequence}`")

    def _reload_config(self, *extra_routes: object) -> None:
        before = self._generation()
        self.sidecar.write_config(
            configuration(
                issuer=self.provider.issuer, store=self.redis.url, extra_routes=extra_routes
            )
        )
        self.sidecar.process.send_signal(signal.SIGHUP)
        self.sidecar.wait_until(lambda: self._generation() > before)

    def _generation(self) -> int:
        generation: int = json.loads(self.sidecar.get_ops("/status")[1])["generation"]
        return generation

    def _send(self, vector: Vector) -> Message:
        own_pages = vector.adapter is None
        listener = self.sidecar.web if own_pages else self.sidecar.check
        headers = list(vector.headers)
        # An old client may leave the Host out; everybody else's library writes one.
        if not vector.values("host") and vector.http_version != "1.0":
            headers.insert(0, ("Host", str(listener)))
        if vector.body and not vector.values("content-length"):
            headers.append(("Content-Length", str(len(vector.body.encode()))))
        return send(
            listener,
            method=vector.method,
            target=vector.path,
            headers=tuple(headers),
            body=vector.body.encode(),
            version=vector.http_version,
            encoding=vector.encoding,
            source=TRUSTED_PEER if vector.from_trusted_peer else UNTRUSTED_PEER,
        )

    def create_logged_out_session(self, *, sid: str) -> str:
        """A session of the person that logout tokens are about."""
        return self.users.browser_cookie(self.users.sign_in(LOGGED_OUT_USER, sid=sid), APP)


def requested_host(vector: Vector) -> str:
    """The host that a vector's session belongs to: the last one it names in its proxy's words that
    the house knows."""
    match vector.adapter:
        case "ingress-nginx":
            host_values = [urlsplit(value).netloc for value in vector.values("x-original-url")]
        case "envoy" | None:
            host_values = list(vector.values("host"))
        case _:
            host_values = list(vector.values("x-forwarded-host"))
    hosts = [text.lower().partition(":")[0].rstrip(".") for text in host_values]
    return next((host for host in reversed(hosts) if host in HOSTS), HOSTS[0])


def concurrent_vector(vector: Vector) -> Vector:
    """The one that is sent at the same time: the same request of another person."""
    found = re.fullmatch(r"code=(\w+)", vector.concurrent_with)
    if not found or found[1] not in USER_NAMES:
        raise UnsupportedVector(f"unknown company `{vector.concurrent_with}`")

    def for_other_user(text: str) -> str:
        return re.sub(r"\{(STATE|CODE|FLOW_COOKIE):\w+", rf"{{\1:{found[1]}", text)

    return replace(
        vector,
        concurrent_with="",
        path=for_other_user(vector.path),
        headers=tuple((name, for_other_user(value)) for name, value in vector.headers),
    )
