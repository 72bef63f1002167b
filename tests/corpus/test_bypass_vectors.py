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

from tests.corpus.assertions import MEANINGS, Scene, judge
from tests.corpus.deployment import configuration
from tests.corpus.expectations import PROMISES, back_channel_left_it
from tests.corpus.people import People
from tests.corpus.provider import Idp
from tests.corpus.runner import House, beside
from tests.corpus.vectors import CLASSES, Uninterpretable, parse
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
IMPLEMENTED = [each for each in VECTORS if each["class"] in CLASSES]

SIBLINGS = ("caddy", "haproxy")
"""They ask as Traefik does, so what is true of one is true of the others."""


@pytest.fixture(scope="module")
def house(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_redis(redis_binary) as redis, running_hostile_provider() as provider:
        idp = Idp(provider=provider)
        config = configuration(issuer=idp.issuer, store=redis.url)
        with running_sidecar(config, tmp_path_factory.mktemp("house")) as sidecar:
            people = People(sidecar=sidecar, idp=idp, store=redis.url)
            yield House(sidecar=sidecar, people=people, idp=idp, redis=redis)


@pytest.mark.parametrize("document", [pytest.param(each, id=each["id"]) for each in IMPLEMENTED])
def test_bypass_vectors(house: House, document: dict[str, Any]) -> None:
    unfilled = parse(document)
    filling = house.filling(unfilled)
    vector = filling.filled()
    others = [house.filling(beside(unfilled)).filled()] if unfilled.beside else []
    untouched = vector.kind == "backchannel-logout" and not vector.setup
    session = house.logged_out_victim(sid=filling.sid) if untouched else ""
    with house.prepared(vector):
        before = house.before()
        answers = tuple(house.answers(vector))
        for answer in answers:
            judge(vector, answer)
        for other in others:
            judge(other, *house.answers(other))
        scene = Scene(house=house, vector=vector, filling=filling, answers=answers, before=before)
        for said, holds in (*MEANINGS, *PROMISES):
            if said.search(vector.meaning):
                holds(scene)
    if untouched:
        back_channel_left_it(house, session)
    if vector.adapter == "traefik" and not vector.at_once:
        for sibling in SIBLINGS:
            twin = replace(vector, path=vector.path.replace("traefik", sibling, 1))
            for answer in house.answers(twin):
                judge(twin, answer)


def test_bypass_vectors_are_there() -> None:
    found = {each["class"] for each in IMPLEMENTED}
    assert found
    # A file of somebody else's may hold some classes only; ours holds them all.
    assert "BYPASS_VECTORS" in os.environ or found == CLASSES


def page(path: str, *, method: str = "GET", body: str = "", cookie: str = "") -> dict[str, Any]:
    headers = [["Host", "auth.example.com"]]
    headers += [["Cookie", cookie]] if cookie else []
    headers += [["Content-Type", "application/x-www-form-urlencoded"]] if body else []
    request = {"method": method, "path": path, "headers": headers, "body": body}
    expect = {"decision": "allow", "status": [200, 303], "assert": ""}
    return {"id": "", "class": "csrf", "description": "", "request": request, "expect": expect}


def test_bypass_vectors_begin_from_what_works(house: House) -> None:
    """What the attacks are changes of: otherwise they would fail for another reason than they
    should."""
    callback = page("/.auth/callback?code={CODE:ok}&state={STATE:ok}", cookie="{FLOW_COOKIE}")
    [signed_in] = house.answers(house.filling(parse(callback)).filled())
    assert signed_in.status == 303
    assert any(line.startswith("__Host-authz=") for line in signed_in.all("set-cookie"))
    bearer = page("/auth/traefik", cookie="")
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
        [passed] = house.answers(house.filling(parse(asked)).filled())
        assert passed.status == 200, passed
    logout = page("/.auth/backchannel-logout", method="POST", body="logout_token={JWT:logout ok}")
    filling = house.filling(parse(logout))
    token = house.logged_out_victim(sid=filling.sid)
    assert house.asks("app.example.com", token=token).status == 200
    [done] = house.answers(filling.filled())
    assert done.status == 200
    assert house.asks("app.example.com", token=token).status == 302


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
def test_bypass_vectors_that_nobody_understands_fail(house: House, change: dict[str, Any]) -> None:
    with pytest.raises(Uninterpretable):
        _interpreted(house, IMPLEMENTED[0] | change)


def _interpreted(house: House, document: dict[str, Any]) -> None:
    vector = parse(document)
    house.filling(vector).filled()
    if vector.beside:
        beside(vector)
    with house.prepared(vector):
        pass
