"""`policy eval` as its users run it: a process, a file, one line for each vector."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.cli.policy.evaluate import evaluate_vector
from authz_sidecar.policy.criteria import BUILDERS
from tests.policy.test_ppl_vectors import FILE, VECTORS, is_about_ssh, offered

if TYPE_CHECKING:
    from pathlib import Path

OTHER_ROOMS = {"http_decision", "jwt_assertion", "internal_endpoint"}


def evaluate(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "authz_sidecar", "policy", "eval", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    done = evaluate(FILE)
    assert (done.returncode, done.stderr) == (1, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_vector_has_its_line(answers: list[dict[str, Any]]) -> None:
    assert [answer["id"] for answer in answers] == [vector["id"] for vector in VECTORS]
    assert not [each for each in answers if each.get("error", {}).get("stage") == "internal"]


def test_every_answer_is_the_expected_one(answers: list[dict[str, Any]]) -> None:
    wrong = [
        answer
        for vector, answer in zip(VECTORS, answers, strict=True)
        if not is_about_ssh(vector) and not as_expected(vector, answer)
    ]
    assert wrong == []


def as_expected(vector: dict[str, Any], answer: dict[str, Any]) -> bool:
    error = answer.get("error")
    kind: str = vector["kind"]
    if kind == "reject_policy" and vector["id"].startswith("not-in-core-") and known(vector):
        return error is None or "unknown criterion" not in error["message"]
    if kind in ("reject_policy", "extension_reject", "reject_route"):
        return error is not None and error["stage"] == vector["expect"]["stage"]
    if kind in OTHER_ROOMS:  # they are about something else than policies
        return error is not None
    if kind == "portal_visibility":  # upstream's portal has a checker of its own
        return error is None
    expect = vector.get("recommended", vector["expect"])
    return error is None and matches(answer, expect)


def matches(answer: dict[str, Any], expect: dict[str, Any]) -> bool:
    same = answer["allow"] is expect["allow"] and answer["deny"] is expect["deny"]
    if not expect.get("reasons_specified", True):
        return same
    reasons = answer["deny_reasons" if answer["deny"] else "allow_reasons"]
    same &= set(reasons) == set(expect["reasons"])
    for key in ("allow_reasons", "deny_reasons"):
        same &= key not in expect or set(answer[key]) == set(expect[key])
    for key in ("outcome", "additional_data"):
        same &= key not in expect or answer[key] == expect[key]
    return same


def known(vector: dict[str, Any]) -> bool:
    return offered(vector["policy"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[", "is not json", id="not JSON"),
        pytest.param("{}", "is not a list", id="not a list"),
        pytest.param("[" * 100_000, "is not json", id="nested without end"),
        pytest.param("[" + "1" * 5000 + "]", "is not json", id="a number without end"),
    ],
)
def test_a_file_that_is_no_list_of_vectors(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "vectors.json"
    path.write_text(text)
    done = evaluate(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_no_file(tmp_path: Path) -> None:
    done = evaluate(tmp_path / "missing.json")
    assert done.returncode == 2
    assert "no such file" in done.stderr


ACCEPT = {"allow": {"and": [{"accept": 1}]}}


@pytest.mark.parametrize(
    ("vector", "stage"),
    [
        pytest.param(1, "input", id="no object"),
        pytest.param({"policy": ACCEPT, "input": []}, "input", id="input is no object"),
        pytest.param({"policy": ACCEPT, "input": {"sesion": {}}}, "input", id="unknown input"),
        pytest.param({"policy": ACCEPT, "input": {"now": 1e300}}, "input", id="no time"),
        pytest.param({"policy_text": 1}, "input", id="text is no text"),
        pytest.param({"policy_text": "allow: [\n"}, "parse", id="not YAML"),
        pytest.param({"policy_text": "allow: {}\nallow: {}"}, "parse", id="a key twice"),
        pytest.param({}, "parse", id="no policy"),
        pytest.param({"policy": {"allow": {"or": [{"x": 1}]}}}, "compile", id="no criterion"),
        pytest.param({"route": {"allowed_users": "a"}}, "route-validation", id="no shorthand"),
        pytest.param({"route": {"policy": 1}}, "parse", id="a route with a broken policy"),
        pytest.param({"route": {"policy": {"allow": {"or": [{"x": 1}]}}}}, "compile",
                     id="a route with an unknown criterion"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated(vector: Any, stage: str) -> None:
    answer: Any = evaluate_vector(vector, clock=0)
    assert answer["error"]["stage"] == stage
    assert answer["error"]["message"]


def test_a_policy_is_sound_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps([{"id": "\ud800", "policy": ACCEPT}]))
    done = evaluate(path)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "id": "\ud800",
        "allow": True,
        "deny": False,
        "allow_reasons": ["accept"],
        "deny_reasons": [],
        "outcome": "permit",
    }


WORDS = st.sampled_from(
    ["id", "now", "http", "path", "session", "user_id", "claims", "devices", "credentials",
     "device_credentials", "groups", "client_certificate", "pem", "source_ip", "allow", "deny",
     "or", "and", "is", "policy", "route", *BUILDERS]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=15,
)


@given(policy=ANYTHING | st.just(ACCEPT), given_=ANYTHING | st.dictionaries(WORDS, ANYTHING))
def test_nothing_stops_it(policy: object, given_: object) -> None:
    answer: Any = evaluate_vector({"id": 1, "policy": policy, "input": given_}, clock=0)
    assert json.loads(json.dumps(answer))["id"] == 1
    assert answer.get("error", {}).get("stage") != "internal"


@given(vector=ANYTHING)
def test_no_vector_stops_it(vector: object) -> None:
    answer: Any = evaluate_vector(vector, clock=0)
    assert answer.get("error", {}).get("stage") != "internal"


def test_a_path_that_is_no_unicode() -> None:
    policy = {"allow": {"or": [{"http_path": {"starts_with": "/a"}}]}}
    vector = {"policy": policy, "input": {"http": {"path": "/a\ud800"}}}
    assert evaluate_vector(vector, clock=0)["allow"] is True
