"""nginx repeats that a request passes (`deploy/nginx/authz/cache.conf`): to whom it may, for as long
as it may, and to nobody else."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.e2e.conftest import PATHS_HOST, running_stage, sidecar_config
from tests.servers.nginx import Nginx
from tests.servers.proxy import APP_HOST, GROUP_HOST, PUBLIC_HOST
from tests.servers.sidecar import running_sidecar
from tests.servers.visitor import NAVIGATION
from tests.servers.wire import Lines, answer_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider
    from tests.servers.sidecar import Sidecar

    class Staging(Protocol):
        def __call__(
            self, nginx: Nginx, sidecar: Sidecar | None = None
        ) -> AbstractContextManager[Stage]: ...


pytestmark = pytest.mark.xdist_group("nginx")

# Long enough for the slowest machine, and short enough to wait for.
LONG, BRIEF = 20, 1
HEADER_HOST = "header.apps.example.com"
TIME_HOST = "time.apps.example.com"
TOLD_HOST = "told.apps.example.com"
# What operators write for everything else that nginx keeps.
OUTER = """
proxy_cache_valid 200 10m;
proxy_ignore_headers Cache-Control X-Accel-Expires Set-Cookie Vary;
proxy_cache_use_stale error timeout updating http_500 http_503;
proxy_cache_lock on;
"""
FOR_EVER = "X-Accel-Expires", "3600"
SESSION = "__Host-authz"


def configuration(issuer: str, *, seconds: int, fast_lane: bool) -> dict[str, Any]:
    config = sidecar_config(issuer, fast_lane=fast_lane)
    config["server"]["nginx_cache"] = f"{seconds}s"
    config["routes"] += [
        {
            "name": "header",
            "from": f"https://{HEADER_HOST}",
            "policy": [
                {
                    "allow": {
                        "and": [
                            {"email": {"is": "alice@example.com"}},
                            {"http_header/x-team": {"is": "red"}},
                        ]
                    }
                }
            ],
        },
        {
            "name": "time",
            "from": f"https://{TIME_HOST}",
            "policy": [
                {
                    "allow": {
                        "and": [
                            {"email": {"is": "alice@example.com"}},
                            {"date": {"after": "2020-01-01"}},
                        ]
                    }
                }
            ],
        },
        {
            "name": "told",
            "from": f"https://{TOLD_HOST}",
            "allow_any_authenticated_user": True,
            "set_request_headers": {"X-Agent": "${pomerium.request.headers.user-agent}"},
        },
    ]
    return config


@pytest.fixture(scope="module")
def sidecar_that_lets_repeat(
    provider: RunningProvider, tmp_path_factory: pytest.TempPathFactory, *, fast_lane: bool
) -> Iterator[Sidecar]:
    config = configuration(provider.issuer, seconds=LONG, fast_lane=fast_lane)
    with running_sidecar(config, tmp_path_factory.mktemp("long")) as sidecar:
        yield sidecar


@pytest.fixture(scope="module")
def brief_sidecar(
    provider: RunningProvider, tmp_path_factory: pytest.TempPathFactory, *, fast_lane: bool
) -> Iterator[Sidecar]:
    config = configuration(provider.issuer, seconds=BRIEF, fast_lane=fast_lane)
    with running_sidecar(config, tmp_path_factory.mktemp("brief")) as sidecar:
        yield sidecar


@pytest.fixture(scope="module")
def staging(
    certificate: Certificate,
    provider: RunningProvider,
    sidecar_that_lets_repeat: Sidecar,
    tmp_path_factory: pytest.TempPathFactory,
) -> Staging:
    """nginx as told, in front of a sidecar that lets it repeat."""

    def start(nginx: Nginx, sidecar: Sidecar | None = None) -> AbstractContextManager[Stage]:
        directory: Path = tmp_path_factory.mktemp("nginx-cache")
        return running_stage(
            nginx,
            directory,
            certificate=certificate,
            provider=provider,
            sidecar=sidecar or sidecar_that_lets_repeat,
        )

    return start


@pytest.fixture(scope="module")
def running(staging: Staging) -> Iterator[Stage]:
    with staging(Nginx(repeats=True)) as stage:
        yield stage


@pytest.fixture(scope="module")
def running_briefly(staging: Staging, brief_sidecar: Sidecar) -> Iterator[Stage]:
    with staging(Nginx(repeats=True, outer=OUTER), brief_sidecar) as stage:
        yield stage


@pytest.fixture
def cached(running: Stage, request: pytest.FixtureRequest) -> Asking:
    running.clear()
    return Asking(running, request.node.name)


@pytest.fixture
def briefly(running_briefly: Stage, request: pytest.FixtureRequest) -> Asking:
    running_briefly.clear()
    return Asking(running_briefly, request.node.name)


@dataclass(frozen=True)
class Asking:
    """Each test asks about a path of its own, so that no answer is left of another's."""

    stage: Stage
    about: str

    def get(
        self, *headers: tuple[str, str], host: str = APP_HOST, query: str = "", method: str = "GET"
    ) -> int:
        target = f"/{''.join(c for c in self.about if c.isalnum())}{query}"
        return self.stage.send(method, target, [*headers], host=host).status

    @property
    def asked(self) -> int:
        return len(self.stage.tap.questions)


def test_the_same_question_is_asked_once(cached: Asking) -> None:
    alice = cached.stage.cookie("alice")
    assert [cached.get(alice, ("Cookie", "theme=dark")) for _ in range(3)] == [200] * 3
    assert cached.asked == 1
    for received in cached.stage.app.received:
        assert received.one("x-auth-user") == "alice"
        assert (received.one("x-auth-assertion") or "").count(".") == 2
        assert received.one("cookie") == "theme=dark"
        assert "x-accel-expires" not in received.names


def test_what_the_sidecar_says_is_for_nginx_alone(cached: Asking) -> None:
    answer = cached.stage.send("GET", "/alone", [cached.stage.cookie("alice")])
    assert not {"x-accel-expires", "cookie"} & answer.names


@pytest.mark.parametrize(
    ("other", "status"),
    [
        pytest.param({}, 302, id="nobody"),
        pytest.param({"user": "bob"}, 200, id="another user"),
        pytest.param({"user": "alice", "more": "; a=1"}, 200, id="another cookie beside it"),
        pytest.param({"user": "alice", "method": "POST"}, 200, id="another method"),
        pytest.param({"user": "alice", "query": "?a"}, 200, id="another query"),
        pytest.param({"user": "alice", "host": PUBLIC_HOST}, 200, id="another host"),
        pytest.param({"user": "alice", "host": APP_HOST.upper()}, 200, id="another spelling"),
        pytest.param({"user": "alice", "host": GROUP_HOST}, 302, id="a stricter host"),
    ],
)
def test_whoever_asks_for_something_else_is_judged_anew(
    cached: Asking, other: dict[str, str], status: int
) -> None:
    users = {user: cached.stage.cookie(user)[1] for user in ("alice", "bob")}
    cached.get(("Cookie", users["alice"]))
    cookie = users.get(other.get("user", ""), "") + other.get("more", "")
    got = cached.get(
        *NAVIGATION,
        *([("Cookie", cookie)] if cookie else []),
        host=other.get("host", APP_HOST),
        query=other.get("query", ""),
        method=other.get("method", "GET"),
    )
    assert got == status
    told = [received.one("x-auth-user") for received in cached.stage.app.received]
    if status == 200 and other.get("host") is None:
        assert told == ["alice", other["user"]]
        assert cached.asked == 2
    else:
        assert cached.asked > 1


def test_nobody_is_taken_for_another_when_all_come_at_once(cached: Asking) -> None:
    cookies = {user: cached.stage.cookie(user) for user in ("alice", "bob")}

    def ask(number: int) -> tuple[str, str | None]:
        user = ("alice", "bob", "nobody")[number % 3]
        path = f"/crowd/{number % 4}?{user}&{number}"
        lines = [cookies[user]] if user in cookies else []
        cached.stage.send("GET", path, lines, host=APP_HOST)
        return path, user if user in cookies else None

    with ThreadPoolExecutor(8) as pool:
        expected = [pair for pair in pool.map(ask, range(60)) if pair[1] is not None]
    seen = [(each.target, each.one("x-auth-user")) for each in cached.stage.app.received]
    assert sorted(seen, key=str) == sorted(expected, key=str)


# The six ways in which caches of decisions are poisoned


@dataclass(frozen=True, kw_only=True)
class Poisoning:
    """`key` is one that falls for it; where `first` was allowed, `second` is served with that.
    `{}` stands for alice's session. `said` replaces the sidecar's answer, which has no such fault."""

    key: str
    first: tuple[str, str | None]
    second: tuple[str, str | None]
    host: str = APP_HOST
    refused: bool = False
    said: tuple[tuple[str, str], ...] = ()


# The first match, whatever its letter case, as `$cookie_…` finds it; `-` cannot stand in that name.
FIRST_COOKIE = 'map $http_cookie $first_session { default ""; "~*__Host-authz[ \\t]*=([^;]*)" $1; }'
BY_COOKIE = (
    'proxy_cache_key "$request_method\\n$scheme\\n$http_host\\n$request_uri\\n$first_session";'
)
BY_BARS = 'proxy_cache_key "$http_cookie|$request_method|$scheme|$http_host|$request_uri";'
POISONINGS = [
    pytest.param(
        Poisoning(key="", first=("/", "{}"), second=("/", None)),
        id="nginx's own key knows no users",
    ),
    pytest.param(
        Poisoning(
            key=BY_BARS,
            host=PATHS_HOST,
            first=(f"/public/?|GET|https|{PATHS_HOST}|/secret", "a=1"),
            second=("/secret", f"a=1|GET|https|{PATHS_HOST}|/public/?"),
        ),
        id="one part of the key runs into the next",
    ),
    pytest.param(
        Poisoning(
            key=BY_COOKIE, first=("/", f"{SESSION}=; {{}}"), second=("/", None), refused=True
        ),
        id="the session twice, the first empty",
    ),
    pytest.param(
        Poisoning(key=BY_COOKIE, first=("/", f"{SESSION.upper()}=; {{}}"), second=("/", None)),
        id="the session in another letter case first",
    ),
    pytest.param(
        Poisoning(
            key=BY_COOKIE, first=("/", f"{SESSION}\t=; {{}}"), second=("/", None), refused=True
        ),
        id="a tab before the equals sign",
    ),
    pytest.param(
        Poisoning(
            key='proxy_cache_key "$http_host\\n$http_cookie";',
            first=("/a", None),
            second=("/b", None),
            said=(("Vary", "X-Forwarded-Uri"), FOR_EVER),
        ),
        id="Vary compares what the client sent",
    ),
]


def poison(stage: Stage, attack: Poisoning) -> tuple[int, int, bool]:
    """What both were answered, and whether the second was judged by the sidecar."""
    alice = stage.cookie("alice")[1]
    statuses, asked = [], []
    for target, cookie in (attack.first, attack.second):
        lines: list[tuple[str, str]] = [] if cookie is None else [("Cookie", cookie.format(alice))]
        stage.tap.clear()
        with contextlib.ExitStack() as stack:
            if attack.said:
                stack.enter_context(stage.tap.saying(answer_bytes("200 OK", attack.said)))
            statuses.append(stage.send("GET", target, lines, host=attack.host).status)
        asked.append(bool(stage.tap.questions))
    return statuses[0], statuses[1], asked[1]


@pytest.mark.parametrize("attack", POISONINGS)
def test_the_key_cannot_be_poisoned(staging: Staging, attack: Poisoning) -> None:
    with staging(Nginx(repeats=True)) as stage:
        first, second, judged = poison(stage, attack)
        assert first == (401 if attack.refused else 200)
        assert judged
        if not attack.said:
            assert second in (401, 403)


@pytest.mark.parametrize("attack", POISONINGS)
def test_the_poison_works_where_the_key_is_another(staging: Staging, attack: Poisoning) -> None:
    """Or the sidecar refuses to be served it, whatever the key."""
    with staging(Nginx(repeats=True, cache_key=attack.key, outer=FIRST_COOKIE)) as stage:
        _, second, judged = poison(stage, attack)
        assert (second, judged) == ((401, True) if attack.refused else (200, False))


# What is asked about each time


@pytest.mark.parametrize(
    ("host", "user", "lines", "status"),
    [
        pytest.param(APP_HOST, None, (), 401, id="nobody is signed in"),
        pytest.param(APP_HOST, None, NAVIGATION, 302, id="sign-in"),
        pytest.param(GROUP_HOST, "bob", (), 403, id="refused"),
        pytest.param(HEADER_HOST, "alice", (("X-Team", "red"),), 200, id="judged by a header"),
        pytest.param(TIME_HOST, "alice", (), 200, id="judged by the time"),
        pytest.param(TOLD_HOST, "alice", (("User-Agent", "me"),), 200, id="told of the request"),
        pytest.param(APP_HOST, "alice", (("Authorization", "Basic eDp5"),), 200, id="credentials"),
        pytest.param(
            APP_HOST, "alice", (("Authorization", "0"),), 200, id="credentials like nothing"
        ),
        pytest.param(APP_HOST, "alice", (("Sec-WebSocket-Version", "13"),), 200, id="WebSocket"),
    ],
)
def test_this_is_asked_about_each_time(
    cached: Asking, host: str, user: str | None, lines: Lines, status: int
) -> None:
    session = [signed_in(cached.stage, user, host)] if user else []
    for number in (1, 2):
        cached.stage.clear()
        assert cached.get(*session, *lines, host=host) == status, number
        assert cached.asked == (1 if status == 200 else 2)


def signed_in(stage: Stage, user: str, host: str) -> tuple[str, str]:
    """Whether or not that opens the page."""
    visitor = stage.visitor()
    visitor.sign_in(f"https://{host}/", user)
    return "Cookie", visitor.cookie_line(host)


def test_what_passed_as_a_page_does_not_pass_as_a_foreign_websocket(cached: Asking) -> None:
    alice = cached.stage.cookie("alice")
    assert cached.get(alice) == 200
    upgrade = (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "https://evil.example"),
    )
    assert cached.get(alice, *upgrade) == 403


def test_an_answer_that_sets_a_cookie_is_said_once(running: Stage) -> None:
    renewed = f"{SESSION}=FRESH; Path=/; Secure; HttpOnly"
    running.clear()
    with running.tap.saying(answer_bytes("200 OK", [FOR_EVER, ("Set-Cookie", renewed)])):
        first = running.send("GET", "/renewed")
        second = running.send("GET", "/renewed")
    assert (first.all("set-cookie"), second.all("set-cookie")) == ((renewed,), (renewed,))
    assert len(running.tap.questions) == 2


# How long, and who has the say


def test_a_revoked_session_passes_no_longer_than_was_said(briefly: Asking) -> None:
    visitor = briefly.stage.visitor()
    visitor.sign_in(f"https://{APP_HOST}/", "alice")
    stolen = ("Cookie", visitor.cookie_line(APP_HOST))
    assert briefly.get(stolen) == 200
    page = visitor.get(f"https://{APP_HOST}/.auth/sign_out")
    target, fields = page.form()
    visitor.post(target, fields, shown=page)
    time.sleep(BRIEF + 1)
    briefly.stage.clear()
    assert [briefly.get(stolen), briefly.get(stolen)] == [401, 401]
    assert briefly.asked == 4


def test_nothing_is_repeated_for_a_sidecar_that_is_down(briefly: Asking) -> None:
    alice = briefly.stage.cookie("alice")
    assert briefly.get(alice) == 200
    with briefly.stage.tap.down():
        time.sleep(BRIEF + 1)
        assert briefly.get(alice) == 503
    assert briefly.get(alice) == 200


def test_what_an_outer_level_says_changes_nothing(staging: Staging) -> None:
    with staging(Nginx(repeats=True, outer=OUTER)) as stage:
        alice, asking = stage.cookie("alice"), Asking(stage, "outer")
        assert [asking.get(alice), asking.get(alice), asking.asked] == [200, 200, 1]
        stage.clear()
        assert [asking.get(), asking.get(), asking.asked] == [401, 401, 4]


def test_without_the_sidecars_word_nothing_is_repeated(staging: Staging, sidecar: Sidecar) -> None:
    with staging(Nginx(repeats=True, outer=OUTER), sidecar) as stage:
        alice, asking = stage.cookie("alice"), Asking(stage, "word")
        assert [asking.get(alice), asking.get(alice), asking.asked] == [200, 200, 2]
