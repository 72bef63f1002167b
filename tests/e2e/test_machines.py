"""Programs through each real proxy: their tokens, what is said where one does not count, and where
they are led. The issuer is a real server on loopback."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from tests.e2e.conftest import EACH_PROXY, PROXIES, Stage, running_stage
from tests.servers.hostile_provider import Answer, document, running_hostile_provider
from tests.servers.proxy import APP_HOST, GROUP_HOST
from tests.servers.sidecar import running_sidecar
from tests.support.signed_tokens import SigningKey, signing_key
from tests.tokens.issuers import access_token_hash, key_confirmation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.certificate import Certificate
    from tests.servers.hostile_provider import HostileProvider
    from tests.servers.providers import RunningProvider
    from tests.servers.sidecar import Sidecar

KEY = signing_key("RS256", "k1")
HOLDER = signing_key("ES256")
AUDIENCE = f"https://{APP_HOST}/api"
METADATA = "/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module")
def issuer() -> Iterator[HostileProvider]:
    def introspect(body: bytes) -> Answer:
        known = parse_qs(body.decode())["token"] == ["opaque"]
        said = {"active": True, "sub": "robot", "aud": AUDIENCE} if known else {"active": False}
        return document(said)

    with running_hostile_provider() as server:
        server.offers()
        server.answers["/jwks"] = document({"keys": [KEY.jwk]})
        server.answers["/introspect"] = introspect
        yield server


@pytest.fixture(scope="module")
def machines_sidecar(
    issuer: HostileProvider,
    provider: RunningProvider,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    fast_lane: bool,
) -> Iterator[Sidecar]:
    config = {
        "server": {"fast_lane": fast_lane, "adapters": [proxy.name for proxy in PROXIES]},
        "identity_providers": {
            "corp": {"issuer": provider.issuer, "client_id": "authz", "client_secret": "x"}
        },
        "token_issuers": {
            "ci": {
                "issuer": issuer.issuer,
                "audiences": [AUDIENCE],
                "require": {"repository": "octo/*"},
            },
            "as": {
                "issuer": "https://as.example.com",
                "audiences": [AUDIENCE],
                "introspection": {
                    "endpoint": f"{issuer.issuer}/introspect",
                    "client_id": "api",
                    "client_secret": "secret",
                },
            },
        },
        "routes": [
            {"name": "app", "from": f"https://{APP_HOST}", "allow_any_authenticated_user": True},
            {
                "name": "api",
                "from": f"https://{APP_HOST}",
                "prefix": "/api",
                "token_issuers": ["ci", "as"],
                "policy": [
                    {"allow": {"and": [{"authenticated_user": True}]}},
                    {"deny": {"or": [{"claim/team": "banned"}]}},
                ],
            },
            {
                "name": "other",
                "from": f"https://{GROUP_HOST}",
                "allow_any_authenticated_user": True,
            },
        ],
    }
    with running_sidecar(config, tmp_path_factory.mktemp("machines")) as running:
        yield running


@pytest.fixture(scope="module", params=EACH_PROXY)
def machines(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    provider: RunningProvider,
    machines_sidecar: Sidecar,
) -> Iterator[Stage]:
    with running_stage(
        request.param,
        tmp_path_factory.mktemp(request.param.name),
        certificate=certificate,
        provider=provider,
        sidecar=machines_sidecar,
    ) as stage:
        yield stage


@pytest.fixture
def stage(machines: Stage) -> Stage:
    machines.clear()
    return machines


def token(issuer: HostileProvider, key: SigningKey = KEY, **changes: object) -> str:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": issuer.issuer,
        "sub": "repo:octo/app",
        "aud": AUDIENCE,
        "repository": "octo/app",
        "iat": now,
        "exp": now + 300,
    }
    return key.sign(claims | changes)


def bearer(text: str, scheme: str = "Bearer") -> tuple[str, str]:
    return ("Authorization", f"{scheme} {text}")


def test_a_token_passes_and_the_application_hears_whose_it_is(
    stage: Stage, issuer: HostileProvider
) -> None:
    line = bearer(token(issuer))
    answer = stage.send("POST", "/api/things?a=1", [line], b"x=1")
    assert answer.status == 200, stage.sidecar.log()
    received = stage.app.only()
    assert received.one("x-auth-user") == "ci/repo:octo/app"
    assert received.body == b"x=1"
    assert received.one("authorization") == line[1]


def test_an_opaque_token_passes(stage: Stage) -> None:
    assert stage.send("GET", "/api/", [bearer("opaque")]).status == 200
    assert stage.app.only().one("x-auth-user") == "as/robot"


def test_a_bound_token_passes_once_with_its_proof(stage: Stage, issuer: HostileProvider) -> None:
    text = token(issuer, cnf=key_confirmation(HOLDER))
    claims: dict[str, object] = {
        "jti": f"{stage.kind.name}-{time.time()}",
        "htm": "GET",
        "htu": f"https://{APP_HOST}/api/x",
        "iat": int(time.time()),
        "ath": access_token_hash(text),
    }
    proof = HOLDER.sign(claims, typ="dpop+jwt", jwk=HOLDER.jwk, kid=None)
    lines = [bearer(text, "DPoP"), ("DPoP", proof)]
    assert stage.send("GET", "/api/x?a=1", lines).status == 200, stage.sidecar.log()
    again = stage.send("GET", "/api/x?a=1", lines)
    assert again.status == 401
    assert "invalid_dpop_proof" in "".join(again.all("www-authenticate"))
    assert stage.send("GET", "/api/x", [bearer(text)]).status == 401
    assert len(stage.app.received) == 1


@pytest.mark.parametrize(
    "how", ["garbage", "forged", "expired", "another audience", "another repository", "inactive"]
)
def test_a_token_that_does_not_count_is_told_so(
    stage: Stage, issuer: HostileProvider, how: str
) -> None:
    text = {
        "garbage": "a.b.c",
        "forged": token(issuer, signing_key("RS256", "k1")),
        "expired": token(issuer, exp=int(time.time()) - 60),
        "another audience": token(issuer, aud="https://other.example.com"),
        "another repository": token(issuer, repository="evil/app"),
        "inactive": "revoked",
    }[how]
    answer = stage.send("GET", "/api/x", [bearer(text), ("Accept", "text/html")])
    assert answer.status == 401
    (challenge,) = answer.all("www-authenticate")
    assert challenge.startswith('Bearer error="invalid_token"')
    assert f'resource_metadata="https://{APP_HOST}{METADATA}/api"' in challenge
    assert not answer.all("location")
    assert json.loads(answer.body)["error"] == "invalid_token"
    assert not stage.app.received
    assert text not in stage.sidecar.log()


def test_a_policy_refuses_a_program_as_anybody(stage: Stage, issuer: HostileProvider) -> None:
    assert stage.send("GET", "/api/x", [bearer(token(issuer, team="banned"))]).status == 403
    assert not stage.app.received


def test_two_lines_of_credentials_are_one_too_many(stage: Stage, issuer: HostileProvider) -> None:
    lines = [bearer(token(issuer)), bearer("other")]
    assert stage.send("GET", "/api/x", lines).status >= 400
    assert not stage.app.received


def test_elsewhere_the_line_is_the_applications(stage: Stage, issuer: HostileProvider) -> None:
    answer = stage.send("GET", "/page", [bearer(token(issuer)), ("Accept", "application/json")])
    assert answer.status == 401
    assert answer.all("www-authenticate") == ("Bearer",)
    assert not stage.app.received


def test_who_brings_no_token_is_led_to_the_metadata(stage: Stage, issuer: HostileProvider) -> None:
    answer = stage.send("GET", "/api/x", [("Accept", "application/json")])
    assert answer.status == 401
    assert answer.all("www-authenticate") == (
        f'Bearer resource_metadata="https://{APP_HOST}{METADATA}/api"',
    )
    stage.clear()
    found = stage.send("GET", f"{METADATA}/api")
    assert found.status == 200
    told = json.loads(found.body)
    assert told["resource"] == f"https://{APP_HOST}/api"
    assert told["authorization_servers"] == [issuer.issuer, "https://as.example.com"]
    whole = json.loads(stage.send("GET", METADATA).body)
    assert whole["resource"] == f"https://{APP_HOST}"
    assert stage.send("GET", METADATA, host=GROUP_HOST).status == 404
    assert not stage.app.received
    assert not stage.tap.questions, "nobody is asked before these pages"


@pytest.mark.parametrize("path", ["/.well-known/pomerium/jwks.json", "/robots.txt"])
def test_the_other_pages_outside_the_prefix_are_the_sidecars(stage: Stage, path: str) -> None:
    assert stage.send("GET", path).status == 200
    assert not stage.app.received
