"""Every bypass vector of the implemented classes, as bytes over a real socket to a running sidecar.

`BYPASS_VECTORS` names another file of vectors. One that cannot be interpreted fails.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.corpus.assertions import CHECK_EXPECTATIONS, VectorRun, assert_common_rules
from tests.corpus.deployment import configuration
from tests.corpus.expectations import SIGN_IN_EXPECTATIONS, assert_session_survived_logout
from tests.corpus.people import UserSessions
from tests.corpus.provider import CorpusProvider
from tests.corpus.runner import CorpusDeployment, concurrent_vector
from tests.corpus.vectors import VECTOR_CLASSES, UnsupportedVector, parse_vector
from tests.servers.hostile_provider import running_hostile_provider
from tests.servers.redis import running_redis
from tests.servers.sidecar import running_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
FILES = (
    (Path(os.environ["BYPASS_VECTORS"]),)
    if "BYPASS_VECTORS" in os.environ
    else (HERE / "bypass_vectors.json", HERE / "own_vectors.json")
)
VECTORS: list[dict[str, Any]] = [
    vector for file in FILES for vector in json.loads(file.read_text(encoding="utf-8"))
]
IMPLEMENTED = [each for each in VECTORS if each["class"] in VECTOR_CLASSES]

SIBLINGS = ("caddy", "haproxy")
"""They ask as Traefik does, so what is true of one is true of the others."""


@pytest.fixture(scope="module")
def deployment(
    redis_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CorpusDeployment]:
    with running_redis(redis_binary) as redis, running_hostile_provider() as provider:
        corpus_provider = CorpusProvider(server=provider)
        config = configuration(issuer=corpus_provider.issuer, store=redis.url)
        with running_sidecar(config, tmp_path_factory.mktemp("house")) as sidecar:
            users = UserSessions(sidecar=sidecar, provider=corpus_provider, store_url=redis.url)
            yield CorpusDeployment(
                sidecar=sidecar, users=users, provider=corpus_provider, redis=redis
            )


@pytest.mark.parametrize("document", [pytest.param(each, id=each["id"]) for each in IMPLEMENTED])
def test_bypass_vectors(deployment: CorpusDeployment, document: dict[str, Any]) -> None:
    unfilled = parse_vector(document)
    placeholders = deployment.placeholder_values(unfilled)
    vector = placeholders.fill_vector()
    others = (
        [deployment.placeholder_values(concurrent_vector(unfilled)).fill_vector()]
        if unfilled.concurrent_with
        else []
    )
    untouched = vector.kind == "backchannel-logout" and not vector.setup
    session = deployment.create_logged_out_session(sid=placeholders.sid) if untouched else ""
    with deployment.preconditions(vector):
        snapshot = deployment.take_snapshot()
        responses = tuple(deployment.send_vector(vector))
        for response in responses:
            assert_common_rules(vector, response)
        for other in others:
            assert_common_rules(other, *deployment.send_vector(other))
        run = VectorRun(
            deployment=deployment,
            vector=vector,
            placeholders=placeholders,
            responses=responses,
            snapshot=snapshot,
        )
        for pattern, check in (*CHECK_EXPECTATIONS, *SIGN_IN_EXPECTATIONS):
            if pattern.search(vector.assertion):
                check(run)
    if untouched:
        assert_session_survived_logout(deployment, session)
    if vector.adapter == "traefik" and not vector.is_parallel:
        for sibling in SIBLINGS:
            twin = replace(vector, path=vector.path.replace("traefik", sibling, 1))
            for response in deployment.send_vector(twin):
                assert_common_rules(twin, response)


def test_bypass_vectors_are_there() -> None:
    found = {each["class"] for each in IMPLEMENTED}
    assert found
    # A file of somebody else's may hold some classes only; ours holds them all.
    assert "BYPASS_VECTORS" in os.environ or found == VECTOR_CLASSES


def page_vector(
    path: str, *, method: str = "GET", body: str = "", cookie: str = ""
) -> dict[str, Any]:
    headers = [["Host", "auth.example.com"]]
    headers += [["Cookie", cookie]] if cookie else []
    headers += [["Content-Type", "application/x-www-form-urlencoded"]] if body else []
    request = {"method": method, "path": path, "headers": headers, "body": body}
    expect = {"decision": "allow", "status": [200, 303], "assert": ""}
    return {"id": "", "class": "csrf", "description": "", "request": request, "expect": expect}


def test_bypass_vectors_begin_from_what_works(deployment: CorpusDeployment) -> None:
    """What the attacks are changes of: otherwise they would fail for another reason than they
    should."""
    callback = page_vector(
        "/.auth/callback?code={CODE:ok}&state={STATE:ok}", cookie="{FLOW_COOKIE}"
    )
    [signed_in] = deployment.send_vector(
        deployment.placeholder_values(parse_vector(callback)).fill_vector()
    )
    assert signed_in.status == 303
    assert any(line.startswith("__Host-authz=") for line in signed_in.all("set-cookie"))
    bearer = page_vector("/auth/traefik", cookie="")
    bearer["request"]["headers"] = [
        ["X-Forwarded-Method", "GET"],
        ["X-Forwarded-Proto", "https"],
        ["X-Forwarded-Host", "app.example.com"],
        ["X-Forwarded-Uri", "/api/data"],
    ]
    for token in ("JWT:ok", "JWT:azp=authz", "OPAQUE:scope=read"):
        line = ["Authorization", f"Bearer {{{token}}}"]
        asked = bearer | {
            "request": bearer["request"] | {"headers": [*bearer["request"]["headers"], line]}
        }
        [passed] = deployment.send_vector(
            deployment.placeholder_values(parse_vector(asked)).fill_vector()
        )
        assert passed.status == 200, passed
    logout = page_vector(
        "/.auth/backchannel-logout", method="POST", body="logout_token={JWT:logout ok}"
    )
    filling = deployment.placeholder_values(parse_vector(logout))
    token = deployment.create_logged_out_session(sid=filling.sid)
    assert deployment.check("app.example.com", token=token).status == 200
    [done] = deployment.send_vector(filling.fill_vector())
    assert done.status == 200
    assert deployment.check("app.example.com", token=token).status == 302


FIRST = {"method": "GET", "headers": [["Host", "auth.example.com"]]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"surprise": True}, id="unknown key"),
        pytest.param({"peer": "half-trusted"}, id="unknown peer"),
        pytest.param({"setup": "the moon is full"}, id="unknown setup"),
        pytest.param({"sequence": "after: the flood"}, id="unknown sequence"),
        pytest.param({"expect": {"decision": "maybe", "status": [], "assert": ""}}, id="decision"),
        pytest.param({"request": FIRST | {"path": "/", "via": "h3"}}, id="unknown request key"),
        pytest.param({"request": FIRST | {"path": "/auth/traefik{MOON}"}}, id="placeholder"),
        pytest.param({"request": FIRST | {"path": "/{SESSION:nobody}"}}, id="unknown person"),
        pytest.param({"request": FIRST | {"path": "/{SESSION:alice|moon}"}}, id="damage"),
        pytest.param({"request": FIRST | {"path": "/{STATE:moon}"}}, id="unknown sign-in"),
        pytest.param({"request": FIRST | {"path": "/{CODE:moon}"}}, id="unknown code"),
        pytest.param({"request": FIRST | {"path": "/{JWT:moon}"}}, id="unknown token"),
        pytest.param({"request": FIRST | {"path": "/{JWT:logout full moon}"}}, id="logout token"),
        pytest.param({"request": FIRST | {"path": "/{TICKET:moon}"}}, id="unknown ticket"),
        pytest.param({"request": FIRST | {"path": "/", "parallel_with": "x"}}, id="company"),
    ],
)
def test_bypass_vectors_that_nobody_understands_fail(
    deployment: CorpusDeployment, change: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedVector):
        _interpret(deployment, IMPLEMENTED[0] | change)


def _interpret(deployment: CorpusDeployment, document: dict[str, Any]) -> None:
    vector = parse_vector(document)
    deployment.placeholder_values(vector).fill_vector()
    if vector.concurrent_with:
        concurrent_vector(vector)
    with deployment.preconditions(vector):
        pass
