from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.check.authorizer import CheckRecord
from authz_sidecar.check.recent_denials import MAX_HEADER_BYTES, RecentDenials
from authz_sidecar.core.header_names import ProtectedNames
from authz_sidecar.core.types import Session, SessionKind
from tests.policy.requests import ANN, NOW, request
from tests.routes.settings import SOURCE_MAP, RouteSpec, compile_routes

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION = Session(
    public_id="h",
    kind=SessionKind.SIGN_IN,
    scope="https://app.example.com",
    identity=ANN,
    created_at=NOW,
    expires_at=NOW + 1,
)
POLICY = {"allow": {"or": [{"groups": {"has": "root"}}, {"http_header/x-team": "blue"}]}}


class Recorder:
    def __init__(self) -> None:
        self.checks: list[CheckRecord] = []

    def record(self, check: CheckRecord) -> None:
        self.checks.append(check)

    def repeated(self, check: CheckRecord) -> Callable[[float, str], None]:
        raise AssertionError("what is refused is not repeated")


def denials(*, name: str = "app", **options: Any) -> RecentDenials:
    index = compile_routes(RouteSpec(name=name, policy=POLICY)).index
    return RecentDenials(index=index, names=ProtectedNames(), source_map=SOURCE_MAP, base_path="/.auth",
                   clock=lambda: NOW, **{"recorder": Recorder(), **options})  # fmt: skip


def check(request_id: str, outcome: str = "deny", **options: Any) -> CheckRecord:
    return CheckRecord(
        adapter="traefik",
        outcome=outcome,
        status=403,
        reasons=("groups-unauthorized",),
        seconds=0.001,
        request_id=request_id,
        **{"request": request(), "session": SESSION, **options},
    )


def test_why_something_was_denied() -> None:
    recorder = Recorder()
    kept = denials(recorder=recorder)
    kept.record(check("r1"))
    assert [each.request_id for each in recorder.checks] == ["r1"]
    told = kept.explain("r1")
    assert told is not None
    assert (told["request_id"], told["verdict"], told["reasons"]) == (
        "r1",
        "deny",
        ["groups-unauthorized", "http-header-unauthorized"],
    )
    assert told["answered"] == {
        "verdict": "deny",
        "status": 403,
        "reasons": ["groups-unauthorized"],
        "header": None,
        "error": None,
    }
    assert told["readings"][0]["rules"][0]["criteria"][0]["found"] == ["eng", "ops"]


def test_the_header_that_was_denied_is_named() -> None:
    kept = denials()
    headers = (("x.auth.user", "mallory"),)
    asked = request(headers=headers)
    kept.record(check("r1", request=asked, header="x.auth.user", session=None))
    told = kept.explain("r1")
    assert told is not None
    assert told["answered"]["header"] == "x.auth.user"
    assert told["reasons"] == ["ambiguous-header"]
    assert told["trouble"] == "the header `x.auth.user` could be taken for `x-auth-user`"


def test_what_is_not_kept() -> None:
    kept = denials()
    kept.record(check("r1", "allow"))
    kept.record(check("r2", "sign-in"))
    kept.record(check("r3", request=None))
    assert [kept.explain(each) for each in ("r1", "r2", "r3", "r4")] == [None] * 4


def test_memory_is_bounded() -> None:
    kept = denials(max_kept=2)
    for each in ("r1", "r2", "r3"):
        kept.record(check(each))
    assert kept.explain("r1") is None
    assert kept.explain("r3") is not None


def test_the_previous_configuration_explains_what_it_denied() -> None:
    first = denials(name="first")
    first.record(check("r1"))
    second = denials(name="second", previous=first)
    told = second.explain("r1")
    assert told is not None
    assert told["route"] is not None
    assert told["route"]["name"] == "first"
    third = denials(name="third", previous=second)
    assert third.explain("r1") is None


def test_no_secret_is_kept() -> None:
    kept = denials()
    headers = (("cookie", "s3cret"), ("authorization", "s3cret"), ("x-team", "red"))
    kept.record(check("r1", request=request(headers=headers)))
    assert "s3cret" not in repr(kept._denials)
    told = kept.explain("r1")
    assert told is not None
    assert told["readings"][0]["rules"][0]["criteria"][1]["found"] == "red"


def test_too_many_headers_are_not_known_any_more() -> None:
    kept = denials()
    headers = (("x-long", "x" * MAX_HEADER_BYTES), ("x-team", "red"))
    kept.record(check("r1", request=request(headers=headers)))
    told = kept.explain("r1")
    assert told is not None
    criterion = told["readings"][0]["rules"][0]["criteria"][1]
    assert (criterion["found"], criterion["note"]) == (None, "not known: headers")
