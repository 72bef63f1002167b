"""What people type becomes what their browsers send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.urls import MalformedUrl, iri_to_uri, to_a_labels


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        pytest.param("https://app.example.com/a%20b?c=d", "https://app.example.com/a%20b?c=d", id="ascii"),
        pytest.param("https://MÜNCHEN.example/", "https://xn--mnchen-3ya.example/", id="host"),
        pytest.param("https://münchen.example.:8443", "https://xn--mnchen-3ya.example.:8443", id="port"),
        pytest.param("https://a.example/ä/%c3?ö=ü", "https://a.example/%C3%A4/%c3?%C3%B6=%C3%BC", id="path"),
        pytest.param("https://a.example?ä", "https://a.example?%C3%A4", id="query alone"),
        pytest.param("ä", "ä", id="no URL"),
    ],
)  # fmt: skip
def test_a_url(written: str, sent: str) -> None:
    assert iri_to_uri(written) == sent


@pytest.mark.parametrize("host", ["straße.example", "ä" * 70, "ä..example"])
def test_a_host_that_is_none_or_several(host: str) -> None:
    with pytest.raises(MalformedUrl, match=r"is not a host name|has two spellings"):
        to_a_labels(host)


@given(st.text())
def test_it_is_ascii_or_refused(text: str) -> None:
    try:
        spelled = iri_to_uri(f"https://{text}")
    except MalformedUrl:
        return
    assert spelled.isascii()
    assert iri_to_uri(spelled) == spelled
