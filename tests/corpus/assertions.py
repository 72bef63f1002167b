"""What must hold of every answer, and what the words of a vector's `assert` ask for beyond it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from authz_sidecar.core.header_names import ProtectedNames
from tests.corpus.client import UNTRUSTED
from tests.corpus.deployment import COOKIE, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.corpus.placeholders import Filling
    from tests.corpus.runner import Before, House
    from tests.corpus.vectors import Vector
    from tests.servers.wire import Message

IDENTITY = re.compile(r"x-auth-(user|email|groups|name|assertion)")
PROTECTED = ProtectedNames()


def judge(vector: Vector, answer: Message) -> None:
    """What must hold of every answer, whatever the vector says."""
    vector = as_judged(vector)
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
    elif vector.decision == "deny":
        given = [line for line in answer.all("set-cookie") if line.startswith(f"{COOKIE}=")]
        assert not [line for line in given if "max-age=0" not in line.lower()], "a session is given"
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


def as_judged(vector: Vector) -> Vector:
    """The vector, as one that is refused where a header of it could be taken for a protected one: no
    proxy passes such a name on, so what else it expects is never asked."""
    if vector.adapter is None or not _ambiguous(vector) or not vector.trusted:
        return vector
    if vector.status == frozenset({400}):
        return vector
    return replace(vector, decision="deny", status=frozenset({403}))


def _ambiguous(vector: Vector) -> tuple[str, ...]:
    return tuple(name for name, _ in vector.headers if PROTECTED.is_ambiguous(name))


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
    """`before` is how the house was before the vector was sent."""

    house: House
    vector: Vector
    filling: Filling
    answers: tuple[Message, ...]
    before: Before

    @property
    def answer(self) -> Message:
        return self.answers[-1]

    def logged(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """A line of the log must come that holds."""
        deadline = time.monotonic() + 3
        lines: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            lines = self.house.checks_logged(from_=self.before.log_size)
            if any(map(holds, lines)):
                return
            time.sleep(0.02)
        raise AssertionError(f"no such line in the log: {lines}")

    def asked_since(self, path: str) -> int:
        """How often the provider was asked for it since the vector was sent."""
        return self.house.idp.provider.asked_for(path) - self.before.asked[path]

    def again(self, **changes: Any) -> Message:
        [answer] = self.house.answers(replace(self.vector, repeat=1, beside="", **changes))
        return answer

    # What a proxy's question is answered

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
        """Envoy does not send such names and removes those that an answer lists; where one arrives,
        it is refused and named in the log."""
        names = [name.lower() for name in _ambiguous(self.vector)]
        self.logged(lambda line: line.get("header") in names)
        told = {"x-forwarded-host": "Host", "x-forwarded-method": "", "x-forwarded-uri": ""}
        headers = [
            (told.get(name.lower(), name), value)
            for name, value in self.vector.headers
            if told.get(name.lower(), name) and not PROTECTED.is_ambiguous(name)
        ]
        [uri] = self.vector.values("x-forwarded-uri")
        asked = replace(self.vector, path=f"/auth/envoy{uri}", headers=tuple(headers))
        [answer] = self.house.answers(asked)
        judge(asked, answer)
        removed = (answer.one("x-envoy-auth-headers-to-remove") or "").split(", ")
        assert set(names) <= set(removed)

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
