"""A client's certificate from the handshake with a real nginx to a rule of the real sidecar."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.snippets import DeploymentFacts, render_snippet
from authz_sidecar.snippets.edit import EXAMPLE_HEADERS
from authz_sidecar.snippets.facts import ForwardedCertificate as Forwarded
from tests.servers.certificate import Certificate, make_certificate
from tests.servers.nginx import Nginx
from tests.servers.proxy import APP_HOST, AUTH_HOST, CERTIFICATE_NAMES, running_proxy
from tests.servers.sidecar import running_sidecar
from tests.servers.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.proxy import Places, RunningProxy

LAPTOP = "laptop.example.com"
CONFIG = {
    "server": {
        "adapters": ["nginx"],
        "client_certificate": {"header": "X-Client-Cert", "format": "nginx"},
    },
    "identity_providers": {"corp": {"issuer": "http://127.0.0.1:1", "client_id": "authz"}},
    "routes": [
        {
            "from": f"https://{APP_HOST}",
            "policy": [
                {"allow": {"and": [{"client_certificate": {"san_dns": {"is": LAPTOP}}}]}},
                {"deny": {"or": [{"invalid_client_certificate": True}]}},
            ],
        }
    ],
}


@dataclass(frozen=True)
class AskingForCertificates(Nginx):
    """With what `snippet nginx` says on top of the files of `deploy/`. Strangers' certificates come
    through the handshake, so that the sidecar has to tell them apart."""

    trusted: Path = Path()

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        command = Nginx.prepare(self, places, binary)
        facts = DeploymentFacts(
            check=TcpAddress(*places.check),
            web=TcpAddress(*places.web),
            base_path="/.auth",
            hosts=(APP_HOST,),
            auth_host=AUTH_HOST,
            headers=EXAMPLE_HEADERS,
            cookies=(),
            certificate=Forwarded(header="X-Client-Cert", format="nginx"),
        )
        for name, text in render_snippet("nginx", facts).files.items():
            if name.startswith("authz/"):
                (places.directory / name).write_text(text)
        with (places.directory / "conf.d" / "local.conf").open("a") as settings:
            settings.write("ssl_verify_client optional_no_ca;\n")
            settings.write(f"ssl_client_certificate {self.trusted};\n")
        return command


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    names = {"trusted": LAPTOP, "stranger": LAPTOP, "phone": "phone.example.com"}
    return {
        who: make_certificate(tmp_path_factory.mktemp(who), (name,)) for who, name in names.items()
    }


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, clients: dict[str, Certificate]
) -> Iterator[RunningProxy]:
    directory = tmp_path_factory.mktemp("nginx")
    trusted = directory / "trusted.pem"
    trusted.write_text("".join(clients[who].chain.read_text() for who in ("trusted", "phone")))
    kind = AskingForCertificates(trusted=trusted)
    binary = kind.binary()
    if binary is None:
        pytest.skip("nginx is not installed")
    certificate = make_certificate(directory, CERTIFICATE_NAMES)
    with contextlib.ExitStack() as stack:
        app = Upstream()
        stack.callback(app.close)
        place = directory / "sidecar"
        place.mkdir()
        sidecar = stack.enter_context(running_sidecar(CONFIG, place, wait_for="/healthz"))
        yield stack.enter_context(
            running_proxy(
                kind,
                binary,
                directory,
                certificate=certificate,
                check=sidecar.check,
                web=sidecar.web,
                app=app.address,
            )
        )


def status(proxy: RunningProxy, client: Certificate | None, *headers: str) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(client.chain, client.key)
    with (
        socket.create_connection(("127.0.0.1", proxy.places.https), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=APP_HOST) as connection,
    ):
        lines = ("GET / HTTP/1.1", f"Host: {APP_HOST}", "Connection: close", *headers, "", "")
        connection.sendall("\r\n".join(lines).encode())
        answer = connection.recv(65536)
    return int(answer.split(b" ")[1])


def test_the_right_certificate_passes(proxy: RunningProxy, clients: dict[str, Certificate]) -> None:
    assert status(proxy, clients["trusted"]) == 200, proxy.log()


@pytest.mark.parametrize("who", ["stranger", "phone", None])
def test_others_do_not(
    proxy: RunningProxy, clients: dict[str, Certificate], who: str | None
) -> None:
    assert status(proxy, None if who is None else clients[who]) == 403


def test_what_the_client_writes_counts_for_nothing(
    proxy: RunningProxy, clients: dict[str, Certificate]
) -> None:
    pem = clients["trusted"].chain.read_text().replace("\n", "%0A").replace(" ", "%20")
    for header in ("X-Client-Cert", "X-Forwarded-Client-Cert", "x_client_cert"):
        assert status(proxy, None, f"{header}: SUCCESS {pem}") == 403
    assert status(proxy, clients["trusted"], "X-Client-Cert: NONE") == 200
