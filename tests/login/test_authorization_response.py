"""The judgement of an answer, before anything is sent to the provider."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz_sidecar.errors import AuthzError, LoginRefused, ProviderUnavailable, TransactionLost
from authz_sidecar.login.authorization_response import (
    AuthorizationResponse,
    check_state,
    parse_response,
    validate_response,
)
from authz_sidecar.login.http import BadRequest, Pairs
from authz_sidecar.login.transactions import LoginTransaction, transaction_id

ISSUER = "https://idp.example.com"
ATTEMPT = LoginTransaction(
    id=transaction_id(1.0, b"123456"), secret=b"s" * 32, return_to="https://a.test/", started_at=1.0
)
GOOD = AuthorizationResponse(state=ATTEMPT.state, code="c", error=None, issuer=ISSUER, posted=False)


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param((("code", "c"),), id="no state"),
        pytest.param((("code", "c"), ("state", "")), id="empty state"),
        pytest.param((("state", "s"), ("state", "s")), id="state twice"),
        pytest.param((("state", "s"), ("code", "c"), ("code", "d")), id="code twice"),
        pytest.param((("state", "s"), ("iss", "i"), ("iss", "i")), id="iss twice"),
        pytest.param((("state", "s"), ("error", "e"), ("error", "f")), id="error twice"),
    ],
)
def test_a_doubtful_callback_is_refused(pairs: Pairs) -> None:
    with pytest.raises(BadRequest):
        parse_response(pairs, posted=False)


def test_a_code_is_never_shown() -> None:
    answer = parse_response((("state", "s"), ("code", "secret")), posted=False)
    assert answer.code == "secret"
    assert "secret" not in repr(answer)


@pytest.mark.parametrize("state", ["", "x", ATTEMPT.state[:-1], ATTEMPT.state + "x", "ü"])
def test_another_state_is_refused(state: str) -> None:
    with pytest.raises(TransactionLost):
        check_state(replace(GOOD, state=state), ATTEMPT)
    check_state(GOOD, ATTEMPT)


@pytest.mark.parametrize(
    ("changes", "requires_iss", "expected"),
    [
        pytest.param({"issuer": "https://evil.example"}, False, LoginRefused, id="mix-up"),
        pytest.param({"issuer": f"{ISSUER}/"}, False, LoginRefused, id="nearly the issuer"),
        pytest.param({"issuer": ""}, False, LoginRefused, id="empty issuer"),
        pytest.param({"issuer": None}, True, LoginRefused, id="promised and absent"),
        pytest.param(
            {"issuer": "https://evil.example", "error": "access_denied"},
            False,
            LoginRefused,
            id="an error from elsewhere",
        ),
        pytest.param({"error": "access_denied", "code": None}, True, LoginRefused, id="denied"),
        pytest.param({"error": "x", "code": "c"}, True, LoginRefused, id="error beside a code"),
        pytest.param(
            {"error": "temporarily_unavailable"}, True, ProviderUnavailable, id="in trouble"
        ),
        pytest.param({"code": None}, True, BadRequest, id="no code"),
        pytest.param({"code": ""}, True, BadRequest, id="empty code"),
        pytest.param({"code": "c" * 5000}, True, BadRequest, id="endless code"),
        pytest.param({"posted": True}, True, LoginRefused, id="posted where a query was asked"),
    ],
)
def test_an_answer_is_refused(
    changes: dict[str, object], *, requires_iss: bool, expected: type[AuthzError]
) -> None:
    answer = replace(GOOD, **changes)  # type: ignore[arg-type]
    with pytest.raises(expected) as caught:
        validate_response(
            answer, issuer=ISSUER, requires_iss=requires_iss, requires_form_post=False
        )
    assert "evil.example" not in caught.value.public_message


@pytest.mark.parametrize(
    ("issuer", "requires_iss"),
    [
        pytest.param(ISSUER, True, id="promised and sent"),
        pytest.param(ISSUER, False, id="sent unasked"),
        pytest.param(None, False, id="neither"),
    ],
)
def test_a_good_answer_has_a_code(*, issuer: str | None, requires_iss: bool) -> None:
    answer = replace(GOOD, issuer=issuer)
    assert (
        validate_response(
            answer, issuer=ISSUER, requires_iss=requires_iss, requires_form_post=False
        )
        == "c"
    )
