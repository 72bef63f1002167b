"""An issuer as a Kubernetes cluster is one: behind an authority of its own, its keys for those alone
who bring a token of theirs, which is replaced now and then."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.tokens.claims import policy_claims
from tests.servers.certificate import Certificate, make_certificate
from tests.servers.hostile_provider import HostileProvider, document, running_hostile_provider
from tests.support.authorizer import header
from tests.support.signed_tokens import signing_key
from tests.tokens.issuers import API, KEY, build_token_fixture, claims, issuer_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from authz_sidecar.tokens.settings import IssuerSettings

ACCOUNT = "system:serviceaccount:shop:worker"
POD: dict[str, object] = {
    "sub": ACCOUNT,
    "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "worker", "uid": "1"}},
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("cluster"), ("localhost",))


@pytest.fixture
def cluster(certificate: Certificate) -> Iterator[HostileProvider]:
    with running_hostile_provider(certificate) as server:
        yield server


def of_cluster(server: HostileProvider, directory: Path, **changes: Any) -> IssuerSettings:
    own = directory / "token"
    own.write_text("sidecars-own-token\n")
    return issuer_settings(server, bearer_token_file=str(own), **changes)


async def test_a_pod_is_known_by_its_service_account(
    cluster: HostileProvider, certificate: Certificate, tmp_path: Path
) -> None:
    configured = of_cluster(
        cluster,
        tmp_path,
        ca_file=str(certificate.chain),
        require={"kubernetes.io.namespace": ("shop",)},
    )
    async with aclosing(build_token_fixture(cluster, configured)) as home:
        reply = await home.check(KEY.sign(claims(cluster, **POD)))
        assert header(reply, "x-auth-user") == f"ci/{ACCOUNT}"
        other: dict[str, object] = {"kubernetes.io": {"namespace": "elsewhere"}}
        assert (await home.check(KEY.sign(claims(cluster, **POD | other)))).status == 401
        assert cluster.seen[0][2]["authorization"] == "Bearer sidecars-own-token"
        (tmp_path / "token").write_text("a newer one")
        new = signing_key("ES256", "k2")
        cluster.answers["/jwks"] = document({"keys": [KEY.jwk, new.jwk]})
        assert (await home.check(new.sign(claims(cluster, **POD)))).status == 200
        assert cluster.seen[-1][2]["authorization"] == "Bearer a newer one"


@pytest.mark.parametrize(
    ("criterion", "status"),
    [
        pytest.param({"claim/kubernetes.io/namespace": "shop"}, 200, id="namespace"),
        pytest.param({"claim/kubernetes.io/namespace": "other"}, 403, id="another namespace"),
        pytest.param({"claim/kubernetes.io/serviceaccount/name": "worker"}, 200, id="account"),
        pytest.param({"user": {"is": f"ci/{ACCOUNT}"}}, 200, id="user"),
    ],
)
async def test_policies_ask_for_what_the_cluster_says_of_a_pod(
    server: HostileProvider, criterion: dict[str, object], status: int
) -> None:
    policy = {"allow": {"and": [criterion]}}
    route = replace(API, allow_any_authenticated_user=False, policy=policy)
    async with aclosing(build_token_fixture(server, routes=(route,))) as home:
        assert (await home.check(KEY.sign(claims(server, **POD)))).status == status


def test_what_is_spelled_out_replaces_nothing_and_ends() -> None:
    deep: dict[str, object] = {}
    for _ in range(500):
        deep = {"x": deep, "y": 1}
    found = policy_claims({"a.b": {"c": 1, "d": deep}, "a.b/c": 2, "plain": {"c": 1}, "exp": 1})
    assert found["a.b/c"] == 2
    assert found["a.b/d/x/x/y"] == 1
    assert len(found) == 6
    assert "exp" not in found


async def test_an_authority_that_nobody_named_is_not_trusted(
    cluster: HostileProvider, tmp_path: Path
) -> None:
    async with aclosing(build_token_fixture(cluster, of_cluster(cluster, tmp_path))) as home:
        assert (await home.check(KEY.sign(claims(cluster, **POD)))).status == 503
    assert not cluster.seen, "the token went nowhere"


@pytest.mark.parametrize("text", [None, "", "no certificate"], ids=["missing", "empty", "other"])
async def test_an_authority_that_cannot_be_read_is_our_trouble(
    cluster: HostileProvider, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "ca.crt"
    if text is not None:
        path.write_text(text)
    configured = of_cluster(cluster, tmp_path, ca_file=str(path))
    async with aclosing(build_token_fixture(cluster, configured)) as home:
        assert (await home.check(KEY.sign(claims(cluster, **POD)))).status == 503
        assert str(path) in home.error


async def test_a_token_of_our_own_that_cannot_be_read_is_our_trouble(
    cluster: HostileProvider, certificate: Certificate, tmp_path: Path
) -> None:
    configured = of_cluster(cluster, tmp_path, ca_file=str(certificate.chain))
    (tmp_path / "token").unlink()
    async with aclosing(build_token_fixture(cluster, configured)) as home:
        assert (await home.check(KEY.sign(claims(cluster, **POD)))).status == 503
