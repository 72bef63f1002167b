"""What must hold of every answer, and what the words of a vector's `assert` ask for beyond it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from authz_sidecar.core.header_names import ProtectedNames
from tests.corpus.client import UNTRUSTED_PEER
from tests.corpus.deployment import COOKIE, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.corpus.placeholders import PlaceholderValues
    from tests.corpus.runner import CorpusDeployment, DeploymentSnapshot
    from tests.corpus.vectors import Vector
    from tests.servers.wire import Message

IDENTITY_HEADER = re.compile(r"x-auth-(user|email|groups|name|assertion)")
PROTECTED_NAMES = ProtectedNames()


def assert_common_rules(vector: Vector, response: Message) -> None:
    """What must hold of every answer, whatever the vector says."""
    vector = effective_vector(vector)
    assert response.status in vector.status, response
    names = [name.lower() for name, _ in response.headers]
    identity = [name for name in names if IDENTITY_HEADER.fullmatch(name)]
    if vector.adapter is not None:
        passed = response.status == 200
        assert passed or vector.decision != "allow", response
        assert not passed or vector.decision != "deny", response
        assert not passed or not response.body, "an allow has no body"
        assert passed or not identity, "nobody is named in a refusal"
        assert "set-cookie" not in names, "nothing here renews a session or begins a sign-in"
    elif vector.decision == "deny":
        given = [line for line in response.all("set-cookie") if line.startswith(f"{COOKIE}=")]
        assert not [line for line in given if "max-age=0" not in line.lower()], "a session is given"
    assert len(set(identity)) == len(identity), "an identity header came twice"
    assert all(value for name, value in response.headers if IDENTITY_HEADER.fullmatch(name.lower()))
    assert all("secure" in cookie.lower() for cookie in response.all("set-cookie"))
    for location in (*response.all("location"), *response.all("x-auth-redirect")):
        if vector.adapter in {None, "nginx/challenge"}:
            assert location.startswith(tuple(f"https://{host}/" for host in HOSTS)) or (
                vector.adapter is None and urlsplit(location).hostname == "localhost"
            ), location
        else:
            assert_own_sign_in_url(location)
    response_text = response.text + "".join(
        f"{name}: {value}\n" for name, value in response.headers
    )
    for line in vector.values("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            assert not value or name != COOKIE or value not in response_text, (
                "the session is given away"
            )
    for credentials in vector.values("authorization"):
        assert credentials not in response_text


def effective_vector(vector: Vector) -> Vector:
    """The vector, as one that is refused where a header of it could be taken for a protected one: no
    proxy passes such a name on, so what else it expects is never asked."""
    if vector.adapter is None or not _ambiguous_headers(vector) or not vector.from_trusted_peer:
        return vector
    if vector.status == frozenset({400}):
        return vector
    return replace(vector, decision="deny", status=frozenset({403}))


def _ambiguous_headers(vector: Vector) -> tuple[str, ...]:
    return tuple(name for name, _ in vector.headers if PROTECTED_NAMES.is_ambiguous(name))


def assert_own_sign_in_url(location: str) -> None:
    """To the sign-in of one of our hosts, and back to the same host."""
    url = urlsplit(location)
    assert url.scheme == "https", location
    assert url.netloc in HOSTS, location
    assert url.path == "/.auth/start", location
    for return_url in parse_qs(url.query)["rd"]:
        assert return_url == "/" or return_url.startswith(f"https://{url.netloc}/"), location


@dataclass(frozen=True, kw_only=True)
class VectorRun:
    """`snapshot` is how the house was before the vector was sent."""

    deployment: CorpusDeployment
    vector: Vector
    placeholders: PlaceholderValues
    responses: tuple[Message, ...]
    snapshot: DeploymentSnapshot

    @property
    def response(self) -> Message:
        return self.responses[-1]

    def wait_for_log_line(self, matches: Callable[[dict[str, Any]], bool]) -> None:
        """A line of the log must come that holds."""
        deadline = time.monotonic() + 3
        lines: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            lines = self.deployment.read_log(offset=self.snapshot.log_size)
            if any(map(matches, lines)):
                return
            time.sleep(0.02)
        raise AssertionError(f"no such line in the log: {lines}")

    def count_provider_requests(self, path: str) -> int:
        """How often the provider was asked for it since the vector was sent."""
        return (
            self.deployment.provider.server.asked_for(path) - self.snapshot.provider_requests[path]
        )

    def resend(self, **changes: Any) -> Message:
        [response] = self.deployment.send_vector(
            replace(self.vector, repeat=1, concurrent_with="", **changes)
        )
        return response

    # What a proxy's question is answered

    def assert_identity_not_from_client(self) -> None:
        sent = {
            value for name, value in self.vector.headers if IDENTITY_HEADER.fullmatch(name.lower())
        }
        received = {
            value
            for name, value in self.response.headers
            if IDENTITY_HEADER.fullmatch(name.lower())
        }
        assert not sent & received

    def assert_no_redirect(self) -> None:
        assert not self.response.all("location")
        assert not 300 <= self.response.status < 400

    def assert_nginx_reason_header(self) -> None:
        if self.response.status == 403 and self.vector.adapter in {"nginx", "ingress-nginx"}:
            assert self.response.one("x-authz-reason") == "bad-request"

    def assert_missing_header_logged(self) -> None:
        family = "x-original-" if self.vector.adapter == "ingress-nginx" else "x-forwarded-"
        self.wait_for_log_line(lambda line: family in line.get("error", ""))

    def assert_peer_only_logged(self) -> None:
        self.wait_for_log_line(lambda line: UNTRUSTED_PEER in json.dumps(line))
        assert UNTRUSTED_PEER not in self.response.text

    def assert_rightmost_client_address(self) -> None:
        [address] = re.findall(r"\((\d+\.\d+\.\d+\.\d+)\)", self.vector.assertion)
        self.wait_for_log_line(lambda line: line.get("ip") == address)

    def assert_client_address_unknown(self) -> None:
        self.wait_for_log_line(lambda line: "check" in line and "ip" not in line)

    def assert_decided_for_host(self) -> None:
        [host] = re.findall(r"decision on ([a-z.]+[a-z])", self.vector.assertion)
        self.wait_for_log_line(lambda line: line.get("host") == host)

    def assert_header_aliases_removed(self) -> None:
        """Envoy does not send such names and removes those that an answer lists; where one arrives,
        it is refused and named in the log."""
        names = [name.lower() for name in _ambiguous_headers(self.vector)]
        self.wait_for_log_line(lambda line: line.get("header") in names)
        envoy_names = {"x-forwarded-host": "Host", "x-forwarded-method": "", "x-forwarded-uri": ""}
        headers = [
            (envoy_names.get(name.lower(), name), value)
            for name, value in self.vector.headers
            if envoy_names.get(name.lower(), name) and not PROTECTED_NAMES.is_ambiguous(name)
        ]
        [uri] = self.vector.values("x-forwarded-uri")
        envoy_vector = replace(self.vector, path=f"/auth/envoy{uri}", headers=tuple(headers))
        [answer] = self.deployment.send_vector(envoy_vector)
        assert_common_rules(envoy_vector, answer)
        removed = (answer.one("x-envoy-auth-headers-to-remove") or "").split(", ")
        assert set(names) <= set(removed)

    def assert_sign_in_url_header(self) -> None:
        assert_own_sign_in_url(self.response.one("x-auth-redirect") or "")

    def assert_page_explains_cookies(self) -> None:
        self.assert_no_redirect()
        assert (self.response.one("content-type") or "").startswith("text/html")
        assert "cookie" in self.response.text.lower()


CHECK_EXPECTATIONS: tuple[tuple[re.Pattern[str], Callable[[VectorRun], None]], ...] = tuple(
    (re.compile(pattern), holds)
    for pattern, holds in (
        (r"never the client's value", VectorRun.assert_identity_not_from_client),
        (r"no redirect\b(?! to)|never a redirect", VectorRun.assert_no_redirect),
        (r"\bbad-request\b", VectorRun.assert_nginx_reason_header),
        (r"which header is missing", VectorRun.assert_missing_header_logged),
        (r"peer address in the log", VectorRun.assert_peer_only_logged),
        (r"client address = rightmost .*\(\d", VectorRun.assert_rightmost_client_address),
        (r"unknown address", VectorRun.assert_client_address_unknown),
        (r"decision on [a-z]+\.", VectorRun.assert_decided_for_host),
        (r"removal list", VectorRun.assert_header_aliases_removed),
        (r"sign-in address in a header", VectorRun.assert_sign_in_url_header),
        (r"page explains", VectorRun.assert_page_explains_cookies),
    )
)
