"""Every page and refusal says what keeps it apart; a redirect is left as it is."""

from __future__ import annotations

import pytest

from authz_sidecar.core.browser_headers import ISOLATION_HEADERS, with_isolation_headers
from authz_sidecar.server.limits import ErrorResponse


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 429, 500, 503])
def test_what_is_missing_is_added(status: int) -> None:
    assert with_isolation_headers(status, (("a", "b"),)) == (("a", "b"), *ISOLATION_HEADERS)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_left_as_it_is(status: int) -> None:
    assert with_isolation_headers(status, (("location", "/"),)) == (("location", "/"),)


@pytest.mark.parametrize("header", [name for name, _ in ISOLATION_HEADERS])
def test_what_a_response_says_itself_stands(header: str) -> None:
    for spelled in (header, header.title()):
        found = with_isolation_headers(200, ((spelled, "its own"),))
        assert [value for name, value in found if name.lower() == header] == ["its own"]
        assert len(found) == len(ISOLATION_HEADERS)


def test_a_listener_that_refuses_bytes_says_it_as_well() -> None:
    written = ErrorResponse(431, "The head is too large.").serialize([(b"date", b"now")])
    for name, value in ISOLATION_HEADERS:
        assert written.count(f"\r\n{name}: {value}\r\n".encode()) == 1
