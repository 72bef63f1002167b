"""Every bypass vector of the implemented classes, as bytes over a real socket to a running sidecar.

`BYPASS_VECTORS` names another file of vectors. One that cannot be interpreted fails.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.corpus.house import COOKIE, HOSTS, TRUSTED, UNTRUSTED, People, configuration
from tests.corpus.vectors import CLASSES, Uninterpretable, Vector, filled, parse
from tests.servers.providers import RunningProvider, running_mock_provider
from tests.servers.sidecar import Sidecar, running_sidecar
from tests.servers.wire import Message, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.redis import RedisServer

FILE = Path(os.environ.get("BYPASS_VECTORS", Path(__file__).parent / "bypass_vectors.json"))
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
IMPLEMENTED = [each for each in VECTORS if each["class"] in CLASSES]

IDENTITY = re.compile(r"x-auth-(user|email|groups|name|assertion)")
SIBLINGS = ("caddy", "haproxy")
"""They ask as Traefik does, so what is true of one is true of the others."""


@dataclass(frozen=True, kw_only=True)
class House:
    sidecar: Sidecar
    people: People

    def answers(self, vector: Vector) -> Iterator[Message]:
        """The answers to a vector whose placeholders are filled in; each must come."""
        for _ in range(vector.repeat):
            yield self._send(vector)

    def filled(self, vector: Vector) -> Vector:
        host = asked_about(vector)

        def fill(text: str) -> str:
            return filled(
                text, cookie=COOKIE, session=lambda who: self.people.session(who, host=host)
            )

        return replace(
            vector,
            path=fill(vector.path),
            headers=tuple((fill(name), fill(value)) for name, value in vector.headers),
            body=fill(vector.body),
        )

    def checks_logged(self, *, from_: int) -> list[dict[str, Any]]:
        text = self.sidecar.log_path.read_bytes()[from_:].decode(errors="replace")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["logger"].startswith("authz_sidecar")]

    def _send(self, vector: Vector) -> Message:
        listener = self.sidecar.web if vector.path.startswith("/.auth") else self.sidecar.check
        headers = list(vector.headers)
        # An old client may leave the Host out; everybody else's library writes one.
        if not vector.values("host") and vector.http_version != "1.0":
            headers.insert(0, ("Host", str(listener)))
        if vector.body and not vector.values("content-length"):
            headers.append(("Content-Length", str(len(vector.body.encode()))))
        encoding = vector.encoding
        head = f"{vector.method} {vector.path} HTTP/{vector.http_version}\r\n".encode(encoding)
        for name, value in headers:
            head += f"{name}: {value}\r\n".encode(encoding)
        source = (TRUSTED if vector.trusted else UNTRUSTED, 0)
        with socket.create_connection(
            (listener.host, listener.port), timeout=10, source_address=source
        ) as connection:
            connection.sendall(head + b"\r\n" + vector.body.encode())
            answer = Reader(connection).answer(to=vector.method)
        assert answer is not None, "no answer"
        return answer


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_mock_provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def house(
    provider: RunningProvider,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    issuer, store = provider.issuer, redis_server.url
    config = configuration(issuer=issuer, store=store)
    with running_sidecar(config, tmp_path_factory.mktemp("house")) as sidecar:
        yield House(sidecar=sidecar, people=People(issuer=issuer, store=store))


@pytest.mark.parametrize("document", [pytest.param(each, id=each["id"]) for each in IMPLEMENTED])
def test_bypass_vectors(house: House, document: dict[str, Any]) -> None:
    vector = house.filled(parse(document))
    size = house.sidecar.log_path.stat().st_size
    answers = list(house.answers(vector))
    for answer in answers:
        judge(vector, answer)
    scene = Scene(house=house, vector=vector, answer=answers[-1], log_from=size)
    for said, holds in MEANINGS:
        if said.search(vector.meaning):
            holds(scene)
    if vector.adapter == "traefik":
        for sibling in SIBLINGS:
            twin = replace(vector, path=vector.path.replace("traefik", sibling, 1))
            for answer in house.answers(twin):
                judge(twin, answer)


def test_bypass_vectors_are_there() -> None:
    found = {each["class"] for each in IMPLEMENTED}
    assert found
    # A file of somebody else's may hold some classes only; ours holds them all.
    assert "BYPASS_VECTORS" in os.environ or found == CLASSES


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"setup": "the moon is full"}, id="unknown key"),
        pytest.param({"peer": "half-trusted"}, id="unknown peer"),
        pytest.param({"expect": {"decision": "maybe", "status": [], "assert": ""}}, id="decision"),
        pytest.param({"request": VECTORS[0]["request"] | {"via": "h3"}}, id="unknown request key"),
        pytest.param(
            {"request": VECTORS[0]["request"] | {"path": "/auth/traefik{MOON}"}}, id="placeholder"
        ),
        pytest.param(
            {"request": VECTORS[0]["request"] | {"path": "/{SESSION:nobody}"}}, id="unknown person"
        ),
        pytest.param(
            {"request": VECTORS[0]["request"] | {"path": "/{SESSION:alice|moon}"}}, id="damage"
        ),
    ],
)
def test_bypass_vectors_that_nobody_understands_fail(house: House, change: dict[str, Any]) -> None:
    with pytest.raises(Uninterpretable):
        house.filled(parse(IMPLEMENTED[0] | change))


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


def judge(vector: Vector, answer: Message) -> None:
    """What must hold of every answer, whatever the vector says."""
    assert answer.status in vector.status, answer
    names = [name.lower() for name, _ in answer.headers]
    identity = [name for name in names if IDENTITY.fullmatch(name)]
    if vector.adapter is not None:
        passed = answer.status == 200
        assert passed or vector.decision != "allow", answer
        assert not passed or vector.decision != "deny", answer
        assert not passed or not answer.body, "an allow has no body"
        assert passed or not identity, "nobody is named in a refusal"
        assert "set-cookie" not in names, "nothing here renews a session or begins a sign-in"
    assert len(set(identity)) == len(identity), "an identity header came twice"
    assert all(value for name, value in answer.headers if IDENTITY.fullmatch(name.lower()))
    assert all("secure" in cookie.lower() for cookie in answer.all("set-cookie"))
    for location in (*answer.all("location"), *answer.all("x-auth-redirect")):
        if vector.adapter in {None, "nginx/challenge"}:
            assert location.startswith(tuple(f"https://{host}/" for host in HOSTS)) or (
                vector.adapter is None and urlsplit(location).hostname == "localhost"
            ), location
        else:
            leads_home(location)
    said = answer.text + "".join(f"{name}: {value}\n" for name, value in answer.headers)
    for line in vector.values("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            assert not value or name != COOKIE or value not in said, "the session is given away"
    for credentials in vector.values("authorization"):
        assert credentials not in said


def leads_home(location: str) -> None:
    """To the sign-in of one of our hosts, and back to the same host."""
    url = urlsplit(location)
    assert url.scheme == "https", location
    assert url.netloc in HOSTS, location
    assert url.path == "/.auth/start", location
    for back in parse_qs(url.query)["rd"]:
        assert back == "/" or back.startswith(f"https://{url.netloc}/"), location


@dataclass(frozen=True, kw_only=True)
class Scene:
    house: House
    vector: Vector
    answer: Message
    log_from: int

    def logged(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """A line of the log must come that holds."""
        deadline = time.monotonic() + 3
        lines: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            lines = self.house.checks_logged(from_=self.log_from)
            if any(map(holds, lines)):
                return
            time.sleep(0.02)
        raise AssertionError(f"no such line in the log: {lines}")

    def not_the_clients(self) -> None:
        sent = {value for name, value in self.vector.headers if IDENTITY.fullmatch(name.lower())}
        told = {value for name, value in self.answer.headers if IDENTITY.fullmatch(name.lower())}
        assert not sent & told

    def no_redirect(self) -> None:
        assert not self.answer.all("location")
        assert not 300 <= self.answer.status < 400

    def nginx_is_told_why(self) -> None:
        if self.answer.status == 403 and self.vector.adapter in {"nginx", "ingress-nginx"}:
            assert self.answer.one("x-authz-reason") == "bad-request"

    def missing_header_is_named(self) -> None:
        family = "x-original-" if self.vector.adapter == "ingress-nginx" else "x-forwarded-"
        self.logged(lambda line: family in line.get("error", ""))

    def peer_is_logged_and_not_told(self) -> None:
        self.logged(lambda line: UNTRUSTED in json.dumps(line))
        assert UNTRUSTED not in self.answer.text

    def address_is_the_rightmost(self) -> None:
        [address] = re.findall(r"\((\d+\.\d+\.\d+\.\d+)\)", self.vector.meaning)
        self.logged(lambda line: line.get("ip") == address)

    def address_is_unknown(self) -> None:
        self.logged(lambda line: "check" in line and "ip" not in line)

    def decided_for_the_host(self) -> None:
        [host] = re.findall(r"decision on ([a-z.]+[a-z])", self.vector.meaning)
        self.logged(lambda line: line.get("host") == host)

    def aliases_are_removed(self) -> None:
        """Envoy removes what an answer names; the other proxies drop these spellings themselves."""
        told = {"x-forwarded-host": "Host", "x-forwarded-method": "", "x-forwarded-uri": ""}
        headers = [
            (told.get(name.lower(), name), value)
            for name, value in self.vector.headers
            if told.get(name.lower(), name)
        ]
        [uri] = self.vector.values("x-forwarded-uri")
        asked = replace(self.vector, path=f"/auth/envoy{uri}", headers=tuple(headers))
        [answer] = self.house.answers(asked)
        judge(asked, answer)
        removed = (answer.one("x-envoy-auth-headers-to-remove") or "").split(", ")
        folded = [name.lower() for name, _ in headers if re.search(r"(?i)x[_.]auth", name)]
        assert set(folded) <= set(removed)

    def where_to_sign_in_is_said(self) -> None:
        leads_home(self.answer.one("x-auth-redirect") or "")

    def page_explains(self) -> None:
        self.no_redirect()
        assert (self.answer.one("content-type") or "").startswith("text/html")
        assert "cookie" in self.answer.text.lower()


MEANINGS: tuple[tuple[re.Pattern[str], Callable[[Scene], None]], ...] = tuple(
    (re.compile(pattern), holds)
    for pattern, holds in (
        (r"never the client's value", Scene.not_the_clients),
        (r"no redirect\b(?! to)|never a redirect", Scene.no_redirect),
        (r"\bbad-request\b", Scene.nginx_is_told_why),
        (r"which header is missing", Scene.missing_header_is_named),
        (r"peer address in the log", Scene.peer_is_logged_and_not_told),
        (r"client address = rightmost .*\(\d", Scene.address_is_the_rightmost),
        (r"unknown address", Scene.address_is_unknown),
        (r"decision on [a-z]+\.", Scene.decided_for_the_host),
        (r"removal list", Scene.aliases_are_removed),
        (r"sign-in address in a header", Scene.where_to_sign_in_is_said),
        (r"page explains", Scene.page_explains),
    )
)
