"""The path that is judged is the path that is served, and the sidecar's own paths are nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.e2e.conftest import PATHS_HOST, in_every_dialect
from tests.servers.proxy import APP_HOST, AUTH_HOST
from tests.servers.wire import request_bytes

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = in_every_dialect

PATHS = (
    "/a/../b",
    "//a//b",
    "/a/./b",
    "/public/%2e%2e/admin",
    "/public/../admin",
    "/public/%2E%2E%2Fadmin",
    "/public/..%2fadmin",
    "/public/..%5cadmin",
    "/public/..;/admin",
    "/public/.;/../admin",
    "/public/%252e%252e/admin",
    "/a%2fb",
    "/a%5cb",
    "/a\\b",
    "/%61dmin",
    "/a/..;/b",
    "/a;p=1/b",
    "/a%00b",
    "/caf\xc3\xa9",
    "/caf%C3%A9",
    "/..",
    "/../etc",
    "/a%zz",
    "/a%",
    "/a#f",
    "/a?x=1?y=%2f..&z=%zz",
    "/a?",
    "/a%20b",
    "/%2e%2e/%2e%2e/x",
    "/.auth/../admin",
    "/.auth%2f..%2fadmin",
    "/public/.auth/",
)


@pytest.mark.parametrize("path", PATHS)
def test_the_path_that_is_judged_is_the_path_that_is_served(stage: Stage, path: str) -> None:
    raw = request_bytes("GET", path, [("Host", APP_HOST), stage.cookie("alice")])
    stage.clear()
    stage.send_raw(raw)
    for received in stage.app.received:
        assert stage.facts().target == received.target


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("/public")])
def test_no_spelling_of_a_path_leads_out_of_the_public_part(stage: Stage, path: str) -> None:
    stage.send_raw(request_bytes("GET", path, [("Host", PATHS_HOST)]), server_name=PATHS_HOST)
    for received in stage.app.received:
        for reading in readings(received.target):
            assert reading.startswith("/public/"), received.target


def test_the_public_part_is_open(stage: Stage) -> None:
    assert stage.send("GET", "/public/page", host=PATHS_HOST).status == 200
    assert stage.app.only().target == "/public/page"


def readings(target: str) -> set[str]:
    """The path as different applications may read it."""
    found = {target.partition("?")[0]}
    for _ in range(2):
        found |= {unquote(path) for path in found}
    found |= {path.replace("\\", "/") for path in found}
    found |= {
        "/".join(segment.partition(";")[0] for segment in path.split("/")) for path in set(found)
    }
    return {resolved(path) for path in found}


def resolved(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments) + ("/" if path.endswith("/") else "")


@pytest.mark.parametrize(
    "path",
    [
        "/auth/{}",
        "//auth/{}",
        "/%61uth/{}",
        "/x/../auth/{}",
        "/%2e/auth/{}",
        "/AUTH/{}",
        "/auth/{}/",
        "/auth/{}/challenge",
        "/.auth/../auth/{}",
        "/.auth/%2e%2e/auth/{}",
        "/.auth/..;/auth/{}",
        "/_authz_check",
        "/_authz_check/",
        "/metrics",
        "/.auth/../metrics",
        "/healthz",
        "/readyz",
    ],
)
@pytest.mark.parametrize("host", [APP_HOST, AUTH_HOST])
def test_the_check_endpoints_are_no_pages(stage: Stage, path: str, host: str) -> None:
    target = path.format(stage.kind.name)
    lines = [("Host", host), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/")]
    answer = stage.send_raw(request_bytes("GET", target, lines), server_name=host)
    assert not stage.app.received
    assert answer is None or answer.status >= 300
    for question in stage.tap.questions:
        facts = stage.kind.facts(question.asked)
        assert facts.host == host, "the client spoke to the sidecar's check listener"
        assert facts.target != "/"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/.well-known/pomerium/jwks.json", 200, id="keys"),
        pytest.param("/.auth/jwks.json", 200, id="keys below the base path"),
        pytest.param("/robots.txt", 200, id="robots"),
    ],
)
def test_what_needs_no_session_is_answered_without_one(
    stage: Stage, path: str, status: int
) -> None:
    answer = stage.send("GET", path)
    assert answer.status == status
    assert not stage.tap.questions
    assert not stage.app.received
