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

from tests.corpus.client import TRUSTED, UNTRUSTED, send
from tests.corpus.deployment import APP, COOKIE, HOSTS, configuration, public
from tests.corpus.people import PERSONS
from tests.corpus.placeholders import LOGGED_OUT, Filling
from tests.corpus.vectors import Uninterpretable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpus.people import People
    from tests.corpus.provider import Idp
    from tests.corpus.vectors import Vector
    from tests.servers.redis import RedisServer
    from tests.servers.sidecar import Sidecar
    from tests.servers.wire import Message

MOST_AT_ONCE = 20
_ALLOWED_BEFORE = re.compile(r"after: (\w+) 200 on ([a-z.]+)")
_TWICE = re.compile(r"(?i).*\b(twice|second time|same request|once before)\b.*")


@dataclass(frozen=True, kw_only=True)
class Before:
    """`asked` counts what the provider was asked, by path; `names` are those in the store."""

    log_size: int
    names: tuple[str, ...]
    asked: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class House:
    sidecar: Sidecar
    people: People
    idp: Idp
    redis: RedisServer

    def filling(self, vector: Vector) -> Filling:
        return Filling(people=self.people, vector=vector, host=asked_about(vector))

    def before(self) -> Before:
        asked = {path: self.idp.provider.asked_for(path) for path in ("/token", "/jwks")}
        size = self.sidecar.log_path.stat().st_size
        return Before(log_size=size, names=self.names_in_store(), asked=asked)

    def names_in_store(self) -> tuple[str, ...]:
        """Counters of the throttle aside; nothing where there is no store."""
        with contextlib.suppress(RedisError):
            return tuple(name for name in self.redis.all_keys() if not name.startswith("az:c:"))
        return ()

    def answers(self, vector: Vector) -> Iterator[Message]:
        """The answers to a vector whose placeholders are filled in; each must come."""
        if vector.at_once and vector.repeat > 1:
            with ThreadPoolExecutor(min(vector.repeat, MOST_AT_ONCE)) as pool:
                yield from pool.map(self._send, [vector] * vector.repeat)
            return
        for _ in range(vector.repeat):
            yield self._send(vector)

    def checks_logged(self, *, from_: int) -> list[dict[str, Any]]:
        text = self.sidecar.log_path.read_bytes()[from_:].decode(errors="replace")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["logger"].startswith("authz_sidecar")]

    def asks(self, host: str, path: str = "/", *, token: str) -> Message:
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
    def prepared(self, vector: Vector) -> Iterator[None]:
        """What a vector says was there before, or is at the same time."""
        if vector.sequence:
            self._went_before(vector)
        if "/was-public" in "".join(vector.values("x-forwarded-uri")):
            self._reloaded(public("/was-public"))
            assert self._send(vector).status == 200
            self._reloaded()
        with self._set_up(vector.setup):
            yield

    @contextlib.contextmanager
    def _set_up(self, setup: str) -> Iterator[None]:
        match setup:
            case "":
                yield
            case "redis down":
                self.redis.stop()
                try:
                    yield
                finally:
                    self._redis_is_back(self.redis.start)
            case "redis hang":
                self.redis.pause()
                try:
                    yield
                finally:
                    self._redis_is_back(self.redis.resume)
            case _:
                raise Uninterpretable(f"unknown setup `{setup}`")

    def _redis_is_back(self, restore: Any) -> None:
        restore()
        self.people.forget()
        self.sidecar.wait_for("/readyz")

    def _went_before(self, vector: Vector) -> None:
        if found := _ALLOWED_BEFORE.fullmatch(vector.sequence):
            who, host = found[1], found[2]
            if who not in PERSONS or host not in HOSTS:
                raise Uninterpretable(f"unknown sequence `{vector.sequence}`")
            assert self.asks(host, token=self.people.session(who, host=host)).status == 200
        elif _TWICE.fullmatch(vector.sequence):
            self._send(vector)
        else:
            raise Uninterpretable(f"unknown sequence `{vector.sequence}`")

    def _reloaded(self, *more: object) -> None:
        before = self._generation()
        self.sidecar.write_config(
            configuration(issuer=self.idp.issuer, store=self.redis.url, more=more)
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
            source=TRUSTED if vector.trusted else UNTRUSTED,
        )

    def logged_out_victim(self, *, sid: str) -> str:
        """A session of the person that logout tokens are about."""
        return self.people.token_of(self.people.signed_in(LOGGED_OUT, sid=sid), APP)


def asked_about(vector: Vector) -> str:
    """The host that a vector's session belongs to: the last one it names in its proxy's words that
    the house knows."""
    match vector.adapter:
        case "ingress-nginx":
            said = [urlsplit(value).netloc for value in vector.values("x-original-url")]
        case "envoy" | None:
            said = list(vector.values("host"))
        case _:
            said = list(vector.values("x-forwarded-host"))
    named = [text.lower().partition(":")[0].rstrip(".") for text in said]
    return next((host for host in reversed(named) if host in HOSTS), HOSTS[0])


def beside(vector: Vector) -> Vector:
    """The one that is sent at the same time: the same request of another person."""
    found = re.fullmatch(r"code=(\w+)", vector.beside)
    if not found or found[1] not in PERSONS:
        raise Uninterpretable(f"unknown company `{vector.beside}`")

    def other(text: str) -> str:
        return re.sub(r"\{(STATE|CODE|FLOW_COOKIE):\w+", rf"{{\1:{found[1]}", text)

    return replace(
        vector,
        beside="",
        path=other(vector.path),
        headers=tuple((name, other(value)) for name, value in vector.headers),
    )
