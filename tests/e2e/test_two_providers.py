"""Two providers behind a real proxy, one of them hostile: each signs in at its own redirect URI, and
no code of one comes to the other."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.e2e.conftest import running_stage_of, sidecar_config
from tests.servers.nginx import Nginx
from tests.servers.proxy import APP_HOST, AUTH_HOST, GROUP_HOST
from tests.servers.strict_provider import StrictProvider, running_strict_provider
from tests.servers.visitor import NAVIGATION, query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Stage
    from tests.servers.certificate import Certificate
    from tests.servers.providers import RunningProvider
    from tests.servers.visitor import Page, Visitor

pytestmark = pytest.mark.xdist_group("nginx")

PAGE = f"https://{APP_HOST}/page"
BASE = f"https://{AUTH_HOST}/.auth"
CLICK = (*NAVIGATION, ("Sec-Fetch-Site", "same-origin"))


@pytest.fixture(scope="module")
def honest() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-the-honest-one") as provider:
        provider.registered = frozenset({f"{BASE}/callback/honest"})
        yield provider


@pytest.fixture(scope="module")
def hostile() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-the-hostile-one") as provider:
        provider.user = "mallory"
        yield provider


@pytest.fixture(scope="module")
def stage(
    honest: StrictProvider,
    hostile: StrictProvider,
    provider: RunningProvider,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Both serve the app; a third provider, of another host, does not say what its URI is."""
    config: dict[str, Any] = sidecar_config(provider.issuer, fast_lane=True)
    [later] = config["identity_providers"].values()
    config["identity_providers"] = {
        name: {
            **later,
            "issuer": each.issuer,
            "client_secret": each.client_secret,
            "callback": "own",
        }
        for name, each in (("honest", honest), ("hostile", hostile))
    }
    config["identity_providers"]["later"] = {
        name: value for name, value in later.items() if name != "callback"
    }
    config["default_identity_provider"] = "later"
    for route in config["routes"]:
        if route["from"] == f"https://{APP_HOST}":
            route["identity_provider"] = ["honest", "hostile"]
    with running_stage_of(
        config,
        Nginx(),
        tmp_path_factory.mktemp("two-providers"),
        certificate=certificate,
        provider=provider,
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left(stage: Stage, honest: StrictProvider, hostile: StrictProvider) -> None:
    stage.clear()
    hostile.leads_to = None
    for provider in (honest, hostile):
        provider.codes.clear()
        provider.received.clear()


def chosen(visitor: Visitor, number: int) -> Page:
    """The answer to a click on one of the providers of the app."""
    chooser = visitor.browse(PAGE)
    assert chooser.url.startswith(f"{BASE}/choose?"), chooser
    links = re.findall(r'href="([^"]*choice=[^"]*)"', chooser.answer.text)
    return visitor.get(html.unescape(links[number]), headers=CLICK)


@pytest.mark.parametrize(("number", "user"), [(0, "alice"), (1, "mallory")])
def test_each_signs_in_at_a_redirect_uri_of_its_own(stage: Stage, number: int, user: str) -> None:
    visitor = stage.visitor()
    asked = chosen(visitor, number)
    name = ("honest", "hostile")[number]
    assert query(str(asked.leads_to))["redirect_uri"] == f"{BASE}/callback/{name}"
    page = visitor.follow(asked)
    assert (page.status, page.url) == (200, PAGE)
    assert stage.app.only().one("x-auth-user") == user
    assert any(url.startswith(f"{BASE}/callback/{name}?") for url in visitor.visited)


@pytest.mark.parametrize("names", ["callback/honest", "callback"])
def test_no_code_of_one_comes_to_the_other(
    stage: Stage, honest: StrictProvider, hostile: StrictProvider, names: str
) -> None:
    honest.registered |= {f"{BASE}/{names}"}
    attacker, victim = stage.visitor(), stage.visitor()
    mine = query(str(chosen(attacker, 0).leads_to))
    hostile.leads_to = lambda request: honest.authorization_url(
        request
        | {name: mine[name] for name in ("nonce", "code_challenge")}
        | {"redirect_uri": f"{BASE}/{names}"}
    )
    page = victim.follow(chosen(victim, 1))
    assert page.status == 403
    assert page.url.startswith(f"{BASE}/{names}?code=")
    assert "came to the address of another provider" in page.answer.text
    assert len(honest.codes) == 1
    assert hostile.received == []
    assert honest.received == []


def test_a_third_party_does_not_choose(stage: Stage, hostile: StrictProvider) -> None:
    visitor = stage.visitor()
    given = urlencode({"iss": hostile.issuer, "target_link_uri": PAGE})
    page = visitor.browse(f"https://{APP_HOST}/.auth/start?{given}")
    assert page.status == 200
    assert page.answer.text.count("choice=") == 2
    assert not any(url.startswith(hostile.issuer) for url in visitor.visited)


def test_a_provider_that_does_not_say_has_a_page(stage: Stage) -> None:
    page = stage.visitor().browse(f"https://{GROUP_HOST}/")
    assert page.status == 503
    assert f"{BASE}/callback/later as a redirect URI" in page.answer.text
