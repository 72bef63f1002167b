"""Applications that nginx reaches by `fastcgi_pass`, `scgi_pass`, `uwsgi_pass` or `grpc_pass`: real
ones, behind the includes for them, receive what an application behind `proxy_pass` receives."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import PATHS_HOST, running_stage, unavailable
from tests.e2e.test_contract import FORGED, IDENTITY, UPGRADE
from tests.e2e.test_paths import PATHS
from tests.servers.cgi.processes import (
    SCRIPT,
    php_binary,
    running_php,
    running_uwsgi,
    uwsgi_binary,
)
from tests.servers.grpc_app import CALL, REFUSE, SERVICE, STREAM, GrpcClient, running_grpc_app
from tests.servers.nginx import Nginx
from tests.servers.proxy import APP_HOST, DEPLOY, GROUP_HOST, OPEN_HOST, PUBLIC_HOST
from tests.servers.visitor import NAVIGATION
from tests.servers.wire import Reader, answer_bytes, connect, request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider
    from tests.servers.sidecar import Listener, Sidecar
    from tests.servers.wire import Message

pytestmark = pytest.mark.xdist_group("nginx")

# As Debian's files of these names have them; its name of a user is whatever the client claims.
PARAMETERS = """
QUERY_STRING $query_string
REQUEST_METHOD $request_method
CONTENT_TYPE $content_type
CONTENT_LENGTH $content_length
REQUEST_URI $request_uri
{path} $document_uri
DOCUMENT_ROOT $document_root
SERVER_PROTOCOL $server_protocol
REQUEST_SCHEME $scheme
HTTPS $https if_not_empty
REMOTE_ADDR $remote_addr
REMOTE_PORT $remote_port
REMOTE_USER $remote_user
SERVER_PORT $server_port
SERVER_NAME $server_name
REDIRECT_STATUS 200
HTTP_HOST $host
"""
# An operator's, for other locations: below, what an application answers must stay its own.
OUTER = "".join(
    f"{module}_intercept_errors on;\n" for module in ("proxy", "fastcgi", "scgi", "uwsgi", "grpc")
)
# Where an application is found, and the module that reaches it: PHP's and uWSGI's FastCGI differ.
CGI = {"php": "fastcgi", "fastcgi": "fastcgi", "scgi": "scgi", "uwsgi": "uwsgi"}
EVERY = (*CGI, "grpc")


def cleared() -> tuple[str, ...]:
    """What the includes for `proxy_pass` clear, and `Proxy`."""
    names = ["Proxy"]  # to a CGI program it is HTTP_PROXY
    for file in ("clear-identity.conf", "clear-client.conf"):
        text = (DEPLOY / "nginx" / "authz" / file).read_text()
        names += re.findall(r"^proxy_set_header\s+(\S+)", text, re.MULTILINE)
    assert {"X-Auth-User", "X-Original-URL"} <= set(names)
    return tuple(dict.fromkeys(names))


CLEARED = cleared()


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What an application received: its variables, and all headers under one spelling."""

    headers: dict[str, tuple[str, ...]]
    body: str
    variables: dict[str, str]

    def one(self, name: str) -> str | None:
        values = self.headers.get(name, ())
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`status` is HTTP's, or the name of gRPC's; `arrived` is None where the application was spared."""

    status: int | str
    arrived: Arrived | None
    answer: Message | None = None


@dataclass(frozen=True)
class Apps:
    stage: Stage
    trusted: Certificate

    def get(
        self,
        app: str,
        headers: list[tuple[str, str]],
        *,
        host: str = APP_HOST,
        path: str = "/page",
        method: str = "GET",
        body: bytes = b"",
        before: str = "",
    ) -> Asked:
        if app == "grpc":
            client = GrpcClient(self.stage.port, host=host, trusted=self.trusted.chain)
            with contextlib.closing(client):
                code, _, metadata, received = client.call(f"{before}{CALL}", headers, body)
            return Asked(
                status=code, arrived=_of_grpc(metadata, received) if code == "OK" else None
            )
        target = f"{before}/{app}{path}"
        answer = self.stage.send(method, target, headers, body, host=host)
        return Asked(status=answer.status, arrived=_of_cgi(answer), answer=answer)

    def arrived(self, app: str, headers: list[tuple[str, str]], **more: str) -> Arrived:
        asked = self.get(app, headers, **more)  # type: ignore[arg-type]
        assert asked.arrived is not None, asked
        assert asked.status in (200, "OK")
        return asked.arrived


def _of_cgi(answer: Message) -> Arrived | None:
    if '"variables"' not in answer.text:
        return None
    received = json.loads(answer.body)
    variables, body = received["variables"], received["body"]
    headers: dict[str, tuple[str, ...]] = {
        name.removeprefix("HTTP_").lower().replace("_", "-"): (value,)
        for name, value in variables.items()
        if name.startswith("HTTP_")
    }
    return Arrived(headers=headers, body=body, variables=variables)


def _of_grpc(metadata: tuple[tuple[str, str], ...], body: str) -> Arrived:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in metadata:
        headers[name] = (*headers.get(name, ()), value)
    return Arrived(headers=headers, body=body, variables={})


def locations(kind: str, addresses: dict[str, Listener], *, mistaken: str = "") -> str:
    """A location for each application, below `/`, `/public/` and `/mistaken/`; in the last one with
    the include of another module."""
    made = []
    for app, module in (*CGI.items(), ("grpc", "grpc")):
        parameters = PARAMETERS.format(path="PATH_INFO" if app == "uwsgi" else "DOCUMENT_URI")
        said = [f"{module}_param {line};" for line in parameters.strip().splitlines()]
        said += [f"{module}_param SCRIPT_FILENAME {SCRIPT};"] if app == "php" else []
        said = [] if module == "grpc" else said
        where = SERVICE if app == "grpc" else f"/{app}/"
        address = f"grpc://{addresses[app]}" if app == "grpc" else str(addresses[app])
        lines = "\n".join(
            [*said, f"include authz/{kind}-{module}.conf;", f"{module}_pass {address};"]
        )
        made.append(f"location ~ ^(/public)?{where} {{\n{lines}\n}}\n")
        for other in ("", "-fastcgi", "-scgi", "-uwsgi", "-grpc"):
            if other != f"-{module}":
                wrong = lines.replace(f"{kind}-{module}.conf", f"{kind}{other}.conf")
                made.append(f"location ^~ /mistaken{other}{where} {{\n{wrong}\n}}\n")
    return "".join(made)


@pytest.fixture(scope="session")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Listener]]:
    php, uwsgi = php_binary(), uwsgi_binary()
    if php is None or uwsgi is None:
        unavailable("php-cgi or pyuwsgi is not installed")
    directory = tmp_path_factory.mktemp("applications")
    with (
        running_php(php, directory / "php.log") as of_php,
        running_uwsgi(uwsgi, directory / "uwsgi.log") as of_uwsgi,
        running_grpc_app() as of_grpc,
    ):
        yield {"php": of_php, **of_uwsgi, "grpc": of_grpc}


@pytest.fixture(scope="module")
def running(
    addresses: dict[str, Listener],
    certificate: Certificate,
    provider: RunningProvider,
    sidecar: Sidecar,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    nginx = Nginx(
        outer=OUTER,
        protected=locations("protect", addresses),
        unprotected=locations("unprotected", addresses),
    )
    with running_stage(
        nginx,
        tmp_path_factory.mktemp("nginx-modules"),
        certificate=certificate,
        provider=provider,
        sidecar=sidecar,
    ) as stage:
        yield stage


@pytest.fixture
def apps(running: Stage, certificate: Certificate) -> Apps:
    running.clear()
    return Apps(running, certificate)


@pytest.mark.parametrize("app", EVERY)
def test_the_application_is_told_who_it_is(apps: Apps, app: str) -> None:
    arrived = apps.arrived(app, [apps.stage.cookie("alice")])
    assert arrived.one("x-auth-user") == "alice"
    assert arrived.one("x-auth-email") == "alice@example.com"
    assert set((arrived.one("x-auth-groups") or "").split(",")) == {"admins", "staff"}
    assert arrived.one("x-auth-name")
    assert (arrived.one("x-auth-assertion") or "").count(".") == 2
    assert arrived.one("x-forwarded-proto") == "https"
    assert arrived.one("x-forwarded-host") == arrived.one("host") == APP_HOST
    assert arrived.one("x-forwarded-for") == "127.0.0.1"


@pytest.mark.parametrize("app", EVERY)
def test_a_body_arrives(apps: Apps, app: str) -> None:
    asked = apps.get(app, [apps.stage.cookie("alice")], method="POST", body=b"a=1&b=2")
    assert asked.arrived is not None
    assert asked.arrived.body == "a=1&b=2"


@pytest.mark.parametrize("app", EVERY)
@pytest.mark.parametrize(
    ("host", "user"),
    [
        pytest.param(APP_HOST, "alice", id="protected, signed in"),
        pytest.param(PUBLIC_HOST, None, id="public, without an identity"),
        pytest.param(OPEN_HOST, None, id="not asked about"),
    ],
)
@pytest.mark.parametrize("order", ["forged first", "forged last"])
def test_forged_headers_reach_nobody(
    apps: Apps, app: str, host: str, user: str | None, order: str
) -> None:
    honest = [apps.stage.cookie(user)] if user else []
    forged = (*FORGED, ("Proxy", "forged"))
    lines = [*forged, *honest] if order == "forged first" else [*honest, *forged]
    arrived = apps.arrived(app, lines, host=host)
    assert "forged" not in str(arrived).lower()
    assert arrived.one("x-auth-user") == user
    if user is None:
        assert not arrived.headers.keys() & set(IDENTITY)
    if app != "grpc":
        assert arrived.variables["REMOTE_USER"] == (user or "")
        assert "HTTP_PROXY" not in arrived.variables


@pytest.mark.parametrize("app", EVERY)
@pytest.mark.parametrize("host", [PUBLIC_HOST, OPEN_HOST])
def test_what_is_cleared_for_proxy_pass_is_cleared(apps: Apps, app: str, host: str) -> None:
    for first in range(0, len(CLEARED), 10):
        lines = [(name, "forged") for name in CLEARED[first : first + 10]]
        lines += [(name.replace("-", "_"), "forged") for name, _ in lines]
        assert "forged" not in str(apps.arrived(app, lines, host=host))


@pytest.mark.parametrize("app", CGI)
@pytest.mark.parametrize(
    ("host", "user"), [(APP_HOST, "alice"), (PUBLIC_HOST, None), (OPEN_HOST, None)]
)
def test_nobody_becomes_the_user_of_their_own_choice(
    apps: Apps, app: str, host: str, user: str | None
) -> None:
    honest = [apps.stage.cookie(user)] if user else []
    basic = base64.b64encode(b"forged:x").decode()
    arrived = apps.arrived(app, [*honest, ("Authorization", f"Basic {basic}")], host=host)
    assert arrived.variables["REMOTE_USER"] == (user or "")


@pytest.mark.parametrize("app", EVERY)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("{}", None, id="nothing else"),
        pytest.param("{}; theme=dark", "theme=dark", id="session first"),
        pytest.param("a=1; {}; b=2", "a=1; b=2", id="session between"),
        pytest.param('odd="a b"; {}; novalue; x=y=z', 'odd="a b"; novalue; x=y=z', id="odd ones"),
    ],
)
@pytest.mark.parametrize("host", [APP_HOST, PUBLIC_HOST])
def test_the_application_gets_its_cookies_and_never_the_session(
    apps: Apps, app: str, line: str, expected: str | None, host: str
) -> None:
    session = apps.stage.cookie("alice")[1]
    arrived = apps.arrived(app, [("Cookie", line.format(session))], host=host)
    assert arrived.one("cookie") == expected
    assert session not in str(arrived)


@pytest.mark.parametrize("app", EVERY)
@pytest.mark.parametrize("other", ["", "-fastcgi", "-scgi", "-uwsgi", "-grpc"])
@pytest.mark.parametrize("host", [APP_HOST, PUBLIC_HOST, OPEN_HOST])
def test_the_include_of_another_module_lets_no_identity_through(
    apps: Apps, app: str, other: str, host: str
) -> None:
    session = apps.stage.cookie("alice")
    before = f"/mistaken{other if other != f'-{CGI.get(app, app)}' else ''}"
    arrived = apps.arrived(app, [*FORGED, session], host=host, before=before)
    assert not arrived.headers.keys() & {*IDENTITY, "cookie"}
    assert session[1] not in str(arrived)
    if app != "grpc":
        assert "forged" not in str(arrived).lower()


@pytest.mark.parametrize("app", CGI)
def test_a_refusal_is_the_sidecars(apps: Apps, app: str) -> None:
    signing_in = apps.get(app, [*NAVIGATION], path="/page?x=1")
    assert (signing_in.status, signing_in.arrived) == (302, None)
    assert signing_in.answer is not None
    place = signing_in.answer.one("location") or ""
    assert place.startswith(f"https://{APP_HOST}/.auth/start?rd=")
    assert place.endswith(f"%2F{app}%2Fpage%3Fx%3D1")

    of_a_program = apps.get(app, [("Accept", "application/json")], method="POST", body=b"a=1")
    assert (of_a_program.status, of_a_program.arrived) == (401, None)
    assert of_a_program.answer is not None
    assert "sign_in_url" in of_a_program.answer.text

    refused = apps.get(app, [*NAVIGATION, apps.stage.cookie("bob", GROUP_HOST)], host=GROUP_HOST)
    assert (refused.status, refused.arrived) == (403, None)
    assert refused.answer is not None
    assert "bob@example.com" in refused.answer.text

    with apps.stage.tap.down():
        outage = apps.get(app, [apps.stage.cookie("alice")])
    assert (outage.status, outage.arrived) == (503, None)


def test_a_refused_call_ends_as_grpc_says_it(apps: Apps) -> None:
    assert apps.get("grpc", []).status == "UNAUTHENTICATED"
    bob = apps.stage.cookie("bob", GROUP_HOST)
    assert apps.get("grpc", [bob], host=GROUP_HOST).status == "PERMISSION_DENIED"
    with apps.stage.tap.down():
        assert apps.get("grpc", [apps.stage.cookie("alice")]).status == "UNAVAILABLE"


def test_a_stream_is_judged_once_and_then_flows(apps: Apps, certificate: Certificate) -> None:
    alice = apps.stage.cookie("alice")
    client = GrpcClient(apps.stage.port, host=APP_HOST, trusted=certificate.chain)
    with contextlib.closing(client):
        outcome = client.call(STREAM, [alice, ("x-auth-user", "forged")], b"more")
    assert (outcome.code, outcome.body) == ("OK", "more")
    assert [value for name, value in outcome.metadata if name == "x-auth-user"] == ["alice"]
    assert len(apps.stage.tap.questions) == 1
    assert apps.stage.facts().method == "POST"


def test_the_applications_own_errors_are_its_own(apps: Apps, certificate: Certificate) -> None:
    alice = apps.stage.cookie("alice")
    for app in CGI:
        for status in (401, 403, 404, 500):
            asked = apps.get(app, [alice, *NAVIGATION], path=f"/status/{status}")
            assert asked.status == status, app
            assert asked.arrived is not None, app
    client = GrpcClient(apps.stage.port, host=APP_HOST, trusted=certificate.chain)
    with contextlib.closing(client):
        outcome = client.call(REFUSE, [alice])
    assert outcome[:2] == ("PERMISSION_DENIED", "the application says so")


@pytest.mark.parametrize("app", CGI)
def test_a_renewed_session_reaches_the_client_beside_the_applications_cookies(
    apps: Apps, app: str
) -> None:
    renewed = "__Host-authz=renewed; Path=/; Secure; HttpOnly; SameSite=Lax"
    allow = answer_bytes("200 OK", [("X-Auth-User", "alice"), ("Set-Cookie", renewed)])
    with apps.stage.tap.saying(allow):
        asked = apps.get(app, [])
    assert asked.answer is not None
    names = sorted(line.partition("=")[0] for line in asked.answer.all("set-cookie"))
    assert names == ["__Host-authz", "one"]


@pytest.mark.parametrize("app", CGI)
def test_the_path_that_is_judged_is_the_path_that_is_run(apps: Apps, app: str) -> None:
    """nginx gives these applications the path decoded and without its dots."""
    reached = 0
    for path in PATHS:
        for target in (f"/public/{app}{path}", f"/public/{app}/..{path}/../{app}/x"):
            raw = request_bytes("GET", target, [("Host", PATHS_HOST)])
            answer = apps.stage.send_raw(raw, server_name=PATHS_HOST)
            arrived = None if answer is None else _of_cgi(answer)
            if arrived is not None:
                reached += 1
                run = arrived.variables["PATH_INFO" if app == "uwsgi" else "DOCUMENT_URI"]
                assert run.startswith("/public/"), (target, run)
    assert reached > 5


@pytest.mark.parametrize("app", CGI)
def test_trailers_are_no_headers(apps: Apps, app: str) -> None:
    head = [("Host", APP_HOST), apps.stage.cookie("alice"), ("Transfer-Encoding", "chunked")]
    head += [("Trailer", "X-Auth-User, X-Forwarded-For")]
    body = b"1\r\na\r\n0\r\nX-Auth-User: forged\r\nX-Forwarded-For: forged\r\n\r\n"
    answer = apps.stage.send_raw(request_bytes("POST", f"/{app}/", head, body))
    assert answer is not None
    arrived = _of_cgi(answer)
    assert arrived is not None
    assert "forged" not in str(arrived)
    assert arrived.one("x-auth-user") == "alice"


def test_a_websocket_flows_over_uwsgi_once_it_was_allowed(apps: Apps) -> None:
    alice, origin = apps.stage.cookie("alice"), ("Origin", f"https://{APP_HOST}")
    with contextlib.closing(connect(apps.stage.port, server_name=APP_HOST)) as connection:
        lines = [("Host", APP_HOST), ("Connection", "Upgrade"), *UPGRADE, alice, origin]
        connection.sendall(request_bytes("GET", "/uwsgi/socket", lines))
        reader = Reader(connection)
        answer = reader.answer()
        assert answer is not None
        assert answer.status == 101
        assert reader.exactly(7) == b"\x81\x05alice"
        connection.sendall(b"\x81\x85abcd\x09\x07\x0f\x08\x0e")
        assert reader.exactly(11) == b"\x81\x85abcd\x09\x07\x0f\x08\x0e"
    refused = [("Connection", "Upgrade"), *UPGRADE, ("Origin", "https://evil.example"), alice]
    assert apps.stage.send("GET", "/uwsgi/socket", refused).status == 403


@pytest.mark.parametrize("app", CGI)
def test_no_tunnel_opens_through_an_upgrade_to_http2(apps: Apps, app: str) -> None:
    lines = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]
    lines += [("HTTP2-Settings", "AAMAAABk")]
    asked = apps.get(app, lines, host=OPEN_HOST)
    if asked.arrived is not None:
        assert not asked.arrived.headers.keys() & {"upgrade", "connection"}
