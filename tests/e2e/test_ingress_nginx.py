"""What is particular about the controller of ingress-nginx: the host that it acts on, and in which words
the sidecar is told of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from authz_sidecar.adapters.ingress_nginx import auth_url_path
from tests.e2e.conftest import (
    CONTROLLER,
    Stage,
    each,
    running_stage,
    running_stage_of,
    sidecar_config,
)
from tests.e2e.test_contract import FORGED, UPGRADE
from tests.servers.certificate import Certificate, make_certificate
from tests.servers.ingress_nginx import IngressNginx
from tests.servers.proxy import APP_HOST, GROUP_HOST, PUBLIC_HOST
from tests.servers.visitor import NAVIGATION, query
from tests.servers.wire import request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.providers import RunningProvider
    from tests.servers.sidecar import Sidecar

pytestmark = pytest.mark.xdist_group("ingress-nginx")
through_the_controller = pytest.mark.parametrize(
    "stage_of_proxy", each(CONTROLLER), indirect=True, scope="session"
)
CLOSE = ("Connection", "close")
LAPTOP = "laptop.example.com"


def asked(stage: Stage) -> str:
    return stage.tap.first().asked.target


@through_the_controller
@pytest.mark.parametrize(
    ("host", "said", "status"),
    [
        pytest.param(PUBLIC_HOST, PUBLIC_HOST, 200, id="plain"),
        pytest.param(PUBLIC_HOST.upper(), PUBLIC_HOST, 200, id="letter case"),
        pytest.param(f"{PUBLIC_HOST}.", PUBLIC_HOST, 200, id="trailing dot"),
        pytest.param(f"{PUBLIC_HOST}:443", PUBLIC_HOST, 200, id="default port"),
        pytest.param(f"{PUBLIC_HOST}:8443", PUBLIC_HOST, 403, id="a port without a route"),
    ],
)
def test_the_host_is_told_as_the_controller_acts_on_it(
    stage: Stage, host: str, said: str, status: int
) -> None:
    raw = request_bytes("GET", "/", [("Host", host), CLOSE])
    answer = stage.send_raw(raw, server_name=PUBLIC_HOST)
    assert answer is not None
    assert answer.status == status
    assert asked(stage) == f"/auth/ingress-nginx?host={said}&upgrade="


@through_the_controller
def test_the_controller_keeps_an_upgrade_from_whom_it_asks(stage: Stage) -> None:
    """Why the annotation tells it: the application receives what no header of the question shows."""
    lines = [("Host", PUBLIC_HOST), ("Connection", "Upgrade"), *UPGRADE]
    answer = stage.send_raw(request_bytes("GET", "/", lines), server_name=PUBLIC_HOST)
    assert answer is not None
    assert answer.status == 101
    assert asked(stage) == f"/auth/ingress-nginx?host={PUBLIC_HOST}&upgrade=websocket"
    assert not stage.tap.first().asked.all("upgrade")
    assert stage.app.only().one("upgrade") == "websocket"


@through_the_controller
@pytest.mark.parametrize("path", ["/", "/secret"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("judged", [PUBLIC_HOST, f"{PUBLIC_HOST}:443", PUBLIC_HOST.upper()])
def test_an_absolute_target_is_not_judged_by_the_host_beside_it(
    stage: Stage, judged: str, scheme: str, path: str
) -> None:
    for served in (APP_HOST, GROUP_HOST):
        raw = request_bytes("GET", f"{scheme}://{served}{path}", [("Host", judged), CLOSE])
        answer = stage.send_raw(raw, server_name=PUBLIC_HOST)
        assert answer is not None
        assert answer.status == 403
        assert asked(stage) == f"/auth/ingress-nginx?host={served}&upgrade="
        assert not stage.app.received
        stage.clear()


# Below `*.apps.example.com` the controller takes whatever nginx takes for a host.
@through_the_controller
@pytest.mark.parametrize(
    "host",
    [
        f"{PUBLIC_HOST}&host=x.apps.example.com",
        f"x&host={PUBLIC_HOST}",
        f"{PUBLIC_HOST}&upgrade=.apps.example.com",
        f"x&upgrade=&host={PUBLIC_HOST}",
        f"x?host={PUBLIC_HOST}",
        f"x#.{PUBLIC_HOST}",
        f"x%26host={PUBLIC_HOST}",
        f"x;{PUBLIC_HOST}",
        f"x@{PUBLIC_HOST}",
        f"x\\{PUBLIC_HOST}",
        f'x".{PUBLIC_HOST}',
        f"x y.{PUBLIC_HOST}",
        f"x\ty.{PUBLIC_HOST}",
        f"x_y.{PUBLIC_HOST}",
        f"$host.{PUBLIC_HOST}",
        f"é.{PUBLIC_HOST}",
        f"{PUBLIC_HOST}, {APP_HOST}",
        f"[::1].{PUBLIC_HOST}",
        f".{PUBLIC_HOST}",
    ],
)
def test_an_odd_host_reaches_nobody(stage: Stage, host: str) -> None:
    raw = request_bytes("GET", "/public/x", [("Host", host), CLOSE])
    answer = stage.send_raw(raw, server_name=PUBLIC_HOST)
    assert answer is None or answer.status >= 400
    assert not stage.app.received
    assert stage.send("GET", "/", host=PUBLIC_HOST).status == 200


@through_the_controller
@pytest.mark.parametrize(
    "upgrade",
    [
        "websocket&x=y",
        "&upgrade=websocket",
        "&host=docs.apps.example.com",
        "websocket HTTP/1.1",
        "x HTTP/1.1",
        "h2c\twebsocket",
        "websocket#",
        "websocket%20",
        '"websocket"',
        "é",
    ],
)
def test_an_odd_upgrade_reaches_nobody(stage: Stage, upgrade: str) -> None:
    lines = [("Host", PUBLIC_HOST), ("Connection", "Upgrade"), ("Upgrade", upgrade)]
    answer = stage.send_raw(request_bytes("GET", "/", lines), server_name=PUBLIC_HOST)
    assert answer is None or answer.status >= 400
    assert not stage.app.received


@through_the_controller
def test_an_upgrade_in_http2_is_told_too(stage: Stage) -> None:
    stage.send_http2(
        (
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", PUBLIC_HOST),
            (":path", "/"),
            ("upgrade", "h2c"),
        ),
        server_name=PUBLIC_HOST,
    )
    assert not stage.app.received


@through_the_controller
def test_a_stranger_is_led_to_the_sign_in_of_the_same_host(stage: Stage) -> None:
    answer = stage.send("GET", "/some/page", NAVIGATION)
    assert answer.status == 302
    location = answer.one("location") or ""
    assert location.startswith(f"https://{APP_HOST}/.auth/start?rd=")
    assert query(location)["rd"] == f"https://{APP_HOST}/some/page"
    assert not answer.all("set-cookie")
    assert not stage.app.received


@through_the_controller
def test_the_address_to_return_to_is_read_as_the_controller_writes_it(stage: Stage) -> None:
    """`$pass_access_scheme://$http_host$escaped_request_uri`: only what follows the host is escaped."""
    target = "/some/page?a=1&b=%26%2F&c=x%20y"
    rd = f"https://{APP_HOST}{quote(target, safe='')}"
    page = stage.visitor().sign_in(f"https://{APP_HOST}/.auth/start?rd={rd}", "alice")
    assert (page.status, page.url) == (200, f"https://{APP_HOST}{target}")


@through_the_controller
def test_who_may_not_pass_gets_the_controllers_403(stage: Stage) -> None:
    page = stage.visitor().sign_in(f"https://{GROUP_HOST}/", "bob")
    assert page.status == 403
    assert not stage.app.received


@pytest.fixture(scope="module")
def outdated(
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    provider: RunningProvider,
    sidecar: Sidecar,
) -> Iterator[Stage]:
    """With the annotation as it was before the host stood in it."""
    annotation = ("auth-url", "http://authz-sidecar:9180/auth/ingress-nginx")
    with running_stage(
        IngressNginx(annotations=(annotation,)),
        tmp_path_factory.mktemp("outdated"),
        certificate=certificate,
        provider=provider,
        sidecar=sidecar,
    ) as stage:
        yield stage


def test_the_old_annotation_lets_nobody_in_and_says_what_to_change(outdated: Stage) -> None:
    forged = (
        *(("X-Authz-Host", PUBLIC_HOST), ("X-Forwarded-Host", PUBLIC_HOST), ("host", "x")),
        *FORGED,
    )
    outdated.clear()
    for lines in ((), NAVIGATION, forged[:2], forged):
        answer = outdated.send("GET", "/?host=docs.apps.example.com", lines, host=PUBLIC_HOST)
        assert answer.status in (400, 403)
    assert not outdated.app.received
    said = [line for line in outdated.sidecar.log().splitlines() if '"level":"error"' in line]
    said = [line for line in said if auth_url_path(certificate=False) in line]
    assert len(said) == 1
    assert "auth-url" in said[0]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    names = {"trusted": LAPTOP, "phone": "phone.example.com"}
    return {
        who: make_certificate(tmp_path_factory.mktemp(who), (name,)) for who, name in names.items()
    }


@pytest.fixture(scope="module")
def asking_for_certificates(
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    provider: RunningProvider,
    clients: dict[str, Certificate],
) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("certificates")
    authority = directory / "authority.pem"
    authority.write_text("".join(each.chain.read_text() for each in clients.values()))
    config = sidecar_config(provider.issuer, fast_lane=True)
    policy = [
        {"allow": {"and": [{"client_certificate": {"san_dns": {"is": LAPTOP}}}]}},
        {"deny": {"or": [{"invalid_client_certificate": True}]}},
    ]
    with running_stage_of(
        {
            **config,
            "server": {
                "adapters": ["ingress-nginx"],
                "client_certificate": {"header": "ssl-client-cert", "format": "nginx"},
            },
            "routes": [
                {"from": f"https://{host}", "policy": policy} for host in (APP_HOST, PUBLIC_HOST)
            ],
        },
        IngressNginx(authority=authority),
        directory,
        certificate=certificate,
        provider=provider,
    ) as stage:
        yield stage


def status(stage: Stage, host: str, client: Certificate | None, *headers: tuple[str, str]) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(client.chain, client.key)
    with (
        contextlib.closing(
            socket.create_connection(("127.0.0.1", stage.port), timeout=10)
        ) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(request_bytes("GET", "/", [("Host", host), CLOSE, *headers]))
        answer = connection.recv(65536)
    return int(answer.split(b" ")[1])


def test_a_certificate_counts_where_the_controller_asked_for_it(
    asking_for_certificates: Stage, clients: dict[str, Certificate]
) -> None:
    assert status(asking_for_certificates, APP_HOST, clients["trusted"]) == 200
    assert status(asking_for_certificates, APP_HOST, clients["phone"]) == 403
    assert status(asking_for_certificates, APP_HOST, None) == 403


@pytest.mark.parametrize("host", [APP_HOST, PUBLIC_HOST], ids=["asked for", "not asked for"])
@pytest.mark.parametrize("verdict", ["", "SUCCESS "])
def test_a_certificate_in_a_clients_header_counts_nowhere(
    asking_for_certificates: Stage, clients: dict[str, Certificate], host: str, verdict: str
) -> None:
    forged = f"{verdict}{quote(clients['trusted'].chain.read_text(), safe='')}"
    for name in ("ssl-client-cert", "X-Client-Cert", "Client-Cert"):
        lines = ((name, forged), ("ssl-client-verify", "SUCCESS"))
        assert status(asking_for_certificates, host, None, *lines) == 403
