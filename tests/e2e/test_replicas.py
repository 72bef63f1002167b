"""Two replicas with two workers each, one Redis: what one of them is told holds at all of them."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.corpus.client import send
from tests.corpus.deployment import APP, AUTH, COOKIE, configuration
from tests.corpus.people import UserSessions
from tests.corpus.provider import CorpusProvider
from tests.corpus.runner import CorpusDeployment
from tests.servers.hostile_provider import running_hostile_provider
from tests.servers.redis import running_redis
from tests.servers.sidecar import running_sidecar
from tests.sessions.failover import FORMER, copy
from tests.sessions.forwarder import running_forwarder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.redis import RedisStarter
    from tests.servers.wire import Message
    from tests.sessions.forwarder import Forwarder

CHECKS_PER_REPLICA = 12
"""Enough for every worker of both replicas to be asked."""


@dataclass(frozen=True, kw_only=True)
class Replicas:
    deployments: tuple[CorpusDeployment, ...]
    link: Forwarder
    """Through which the first of them reaches Redis."""

    @property
    def first(self) -> CorpusDeployment:
        return self.deployments[0]

    def check_all(self, token: str) -> list[int]:
        return [
            deployment.check(APP, token=token).status
            for deployment in self.deployments
            for _ in range(CHECKS_PER_REPLICA)
        ]

    def post(
        self, path: str, *, form: dict[str, str], host: str = AUTH, cookie: str = ""
    ) -> Message:
        """To the first of them."""
        body = "&".join(f"{name}={quote(value, safe='')}" for name, value in form.items()).encode()
        headers = [
            ("Host", host),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", str(len(body))),
        ]
        if cookie:
            headers.append(("Cookie", f"{COOKIE}={cookie}"))
        return send(
            self.first.sidecar.web, method="POST", target=path, headers=tuple(headers), body=body
        )

    def assert_all_refuse(self, token: str) -> None:
        """As soon as all have heard; who is refused once stays refused."""
        deadline = time.monotonic() + 2
        while 200 in self.check_all(token) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert set(self.check_all(token)) == {302}


@pytest.fixture(scope="module")
def replicas(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis(redis_binary))
        link = stack.enter_context(running_forwarder(redis.port))
        provider = CorpusProvider(server=stack.enter_context(running_hostile_provider()))
        deployments = []
        for store in (link.url, redis.url):
            config = configuration(issuer=provider.issuer, store=store)
            config["server"] = {**config["server"], "workers": 2}  # type: ignore[dict-item]
            sidecar = stack.enter_context(
                running_sidecar(config, tmp_path_factory.mktemp("replica"))
            )
            users = UserSessions(sidecar=sidecar, provider=provider, store_url=redis.url)
            deployments.append(
                CorpusDeployment(sidecar=sidecar, users=users, provider=provider, redis=redis)
            )
        yield Replicas(deployments=tuple(deployments), link=link)


def test_one_refresh_serves_all_of_them(replicas: Replicas) -> None:
    token = replicas.first.users.session_cookie("refresh-due", host=APP)
    before = len(replicas.first.provider.used_refresh_tokens)
    targets = [deployment for deployment in replicas.deployments for _ in range(20)]
    with ThreadPoolExecutor(len(targets)) as pool:
        answers = list(pool.map(lambda deployment: deployment.check(APP, token=token), targets))
    assert {answer.status for answer in answers} == {200}
    assert set(replicas.check_all(token)) == {200}
    assert len(replicas.first.provider.used_refresh_tokens) == before + 1


@pytest.mark.parametrize("about", ["sid", "sub"])
def test_a_logout_of_the_provider_holds_everywhere(replicas: Replicas, about: str) -> None:
    deployment, sid = replicas.first, f"provider-session-{about}"
    token = deployment.create_logged_out_session(sid=sid)
    assert set(replicas.check_all(token)) == {200}, "in the memory of every worker"
    claims = deployment.provider.token_factory.logout_claims(subject="lottie", session=sid)
    del claims["sub" if about == "sid" else "sid"]
    logout_token = deployment.provider.token_factory.sign(claims, typ="logout+jwt")
    done = replicas.post("/.auth/backchannel-logout", form={"logout_token": logout_token})
    assert done.status == 200
    replicas.assert_all_refuse(token)


def test_a_logout_of_the_provider_wins_against_refreshes_under_way(replicas: Replicas) -> None:
    """Requests of a session that is due arrive everywhere while it is ended."""
    deployment = replicas.first
    for number in range(3):
        walker = deployment.users.sign_in("lottie", seconds=1, sid=f"racing-{number}")
        token = deployment.users.browser_cookie(walker, APP)
        time.sleep(0.8)
        claims = deployment.provider.token_factory.logout_claims(
            subject="lottie", session=f"racing-{number}"
        )
        logout_token = deployment.provider.token_factory.sign(claims, typ="logout+jwt")
        with ThreadPoolExecutor(9) as pool:
            asked = [pool.submit(each.check, APP, token=token) for each in replicas.deployments * 4]
            done = pool.submit(
                replicas.post, "/.auth/backchannel-logout", form={"logout_token": logout_token}
            )
            assert done.result().status == 200
            assert {each.result().status for each in asked} <= {200, 302}
        replicas.assert_all_refuse(token)


def test_signing_out_holds_everywhere(replicas: Replicas) -> None:
    token = replicas.first.users.session_cookie("bob", host=APP, fresh=True)
    assert set(replicas.check_all(token)) == {200}, "in the memory of every worker"
    headers = (("Host", APP), ("Accept", "text/html"), ("Cookie", f"{COOKIE}={token}"))
    web = replicas.first.sidecar.web
    asking = send(web, method="GET", target="/.auth/sign_out", headers=headers)
    csrf = asking.text.partition('name="csrf" value="')[2].partition('"')[0]
    form = {"csrf": csrf, "scope": "everywhere"}
    assert replicas.post("/.auth/sign_out", form=form, host=APP, cookie=token).status in {200, 303}
    replicas.assert_all_refuse(token)


def test_a_refusal_of_the_provider_holds_everywhere(replicas: Replicas) -> None:
    deployment = replicas.first
    token = deployment.users.session_cookie("refresh-due", host=APP)
    with deployment.provider.refusing_refresh():
        # Whoever holds the lock hears it; the others go on until they hear of that.
        replicas.check_all(token)
    replicas.assert_all_refuse(token)


@pytest.mark.parametrize("former", ["still thinks it is the primary", "is a replica, cut off"])
def test_a_failover_behind_one_address_is_followed(
    replicas: Replicas, start_redis: RedisStarter, former: str
) -> None:
    """Somebody who is with the new primary already signs somebody out there."""
    house, new = replicas.first, start_redis()
    token = house.users.session_cookie("bob", host=APP, fresh=True)
    assert {house.check(APP, token=token).status for _ in range(CHECKS_PER_REPLICA)} == {200}
    copy(house.redis, new)
    replicas.link.lead_to(new.port)
    FORMER[former](house.redis)
    changed = time.monotonic()
    there = UserSessions(sidecar=house.sidecar, provider=house.provider, store_url=new.url)
    there.end_all("bob")
    asked: list[tuple[float, int]] = []
    while time.monotonic() < changed + 3:
        asked.append((time.monotonic() - changed, house.check(APP, token=token).status))
    assert {status for at, status in asked if at > 2} == {302}, asked
    walker = house.users.sign_in()
    assert house.check(APP, token=house.users.browser_cookie(walker, APP)).status == 200
    assert house.sidecar.get_ops("/readyz")[0] == 200
    # As it was, for whatever comes next.
    house.redis.command("REPLICAOF", "NO", "ONE")
    copy(new, house.redis)
    replicas.link.lead_to(house.redis.port)
