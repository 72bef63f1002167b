"""What a client writes about itself reaches no application, through each real proxy: in other
spellings, and under the names of other products."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.core.untrusted_headers import (
    UNTRUSTED_FAMILIES,
    UNTRUSTED_NAMES,
    UNTRUSTED_PREFIXES,
)
from tests.e2e.conftest import running_stage, unavailable
from tests.e2e.test_contract import EACH_HOST, TRAILERS
from tests.header_names import SEPARATORS, respelled
from tests.servers import http2
from tests.servers.caddy import Caddy
from tests.servers.envoy import Envoy
from tests.servers.http2 import Application
from tests.servers.proxy import APP_HOST, DEPLOY, OPEN_HOST, PUBLIC_HOST, Proxy, running_proxy
from tests.servers.traefik import Traefik

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider
    from tests.servers.sidecar import Sidecar

MANAGED = ("X-Auth-User", "X-Auth-Email", "X-Auth-Groups", "X-Auth-Name", "X-Auth-Assertion")
MOST_LINES = 60
BY_FAMILY = ("envoy", "caddy", "haproxy")


def nothing_forged_arrives(stage: Stage, host: str, user: str | None, names: list[str]) -> None:
    who = [stage.cookie(user)] if user else []
    for at in range(0, len(names), MOST_LINES):
        stage.clear()
        lines = [*who, *((name, "forged") for name in names[at : at + MOST_LINES])]
        assert stage.send("GET", "/page", lines, host=host).status == 200
        received = stage.app.only()
        assert [name for name, value in received.headers if "forged" in value] == []
        assert received.one("x-auth-user") == user


@EACH_HOST
def test_no_other_spelling_of_a_managed_name_arrives(
    stage: Stage, host: str, user: str | None
) -> None:
    """Every character of a token, in the place of every hyphen and of one."""
    other = [each for name in MANAGED for char in SEPARATORS for each in respelled(name, char)]
    assert len(other) == len(MANAGED) * len(SEPARATORS) * 3
    nothing_forged_arrives(stage, host, user, other)


@EACH_HOST
def test_nothing_arrives_that_the_readme_promises_to_remove(
    stage: Stage, host: str, user: str | None
) -> None:
    readme = (DEPLOY / "README.md").read_text()
    section = readme[readme.index("## Headers that no client may bring") :]
    rows = re.findall(r"^\| [A-Z][^|]* \| (`.*`) \|$", section, re.MULTILINE)
    promised = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(rows) == len(UNTRUSTED_FAMILIES)
    assert set(promised) == {*UNTRUSTED_NAMES, *(f"{prefix}*" for prefix in UNTRUSTED_PREFIXES)}
    families = [name.replace("*", "Anything") for name in promised if name.endswith("*")]
    names = [name for name in promised if not name.endswith("*")]
    odd = [
        respelled(name, "_.~"[number % 3])[-1] for number, name in enumerate(names) if "-" in name
    ]
    nothing_forged_arrives(
        stage, host, user, [*names, *odd, *(families if stage.kind.name in BY_FAMILY else [])]
    )


@pytest.mark.parametrize(
    "proxy",
    [Traefik(http2=True), Envoy(http2=True), Caddy(http2=True)],
    ids=lambda proxy: str(proxy.name),
)
def test_an_application_by_http2_receives_no_trailers(
    proxy: Proxy, sidecar: Sidecar, certificate: Certificate, tmp_path: Path
) -> None:
    """nginx speaks HTTP/1.1 to it; so must HAProxy before 3.2, as its README says."""
    binary = proxy.binary()
    if binary is None:
        unavailable(f"{proxy.name} is not installed")
    with (
        contextlib.closing(Application()) as app,
        running_proxy(
            proxy,
            binary,
            tmp_path,
            certificate=certificate,
            check=sidecar.check,
            web=sidecar.web,
            app=app.address,
        ) as running,
    ):
        head = ((":method", "POST"), (":scheme", "https"), (":path", "/"))
        for host in (PUBLIC_HOST, OPEN_HOST):
            app.clear()
            http2.send(
                running.places.https,
                server_name=host,
                headers=(*head, (":authority", host)),
                body=b"hello",
                trailers=TRAILERS,
            )
            (received,) = app.received
            assert (received.body, received.trailers) == (b"hello", False)


@pytest.mark.parametrize(
    ("host", "user"),
    [pytest.param(APP_HOST, "alice", id="protected"), pytest.param(PUBLIC_HOST, None, id="public")],
)
def test_what_a_proxy_lets_through_the_sidecar_refuses(
    lax: Stage, host: str, user: str | None
) -> None:
    who = [lax.cookie(user)] if user else []
    for separator in SEPARATORS:
        lax.clear()
        name = respelled("X-Auth-User", separator)[-1]
        answer = lax.send("GET", "/page", [*who, (name, "forged")], host=host)
        assert (answer.status, answer.one("x-authz-reason")) == (403, "ambiguous-header")
        assert not lax.app.received
    lax.clear()
    assert lax.send("GET", "/page", [*who, ("X.Team", "red")], host=host).status == 200
    assert lax.app.only().one("x.team") == "red"


@pytest.fixture(scope="module")
def lax(
    provider: RunningProvider,
    sidecar: Sidecar,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """A proxy whose operator has it keep every name."""
    with running_stage(
        Traefik(strategy="keep"),
        tmp_path_factory.mktemp("lax"),
        certificate=certificate,
        provider=provider,
        sidecar=sidecar,
    ) as stage:
        yield stage
