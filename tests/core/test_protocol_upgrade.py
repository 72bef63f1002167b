"""Only a WebSocket, alone, is an upgrade that may pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.protocol_upgrade import requests_unsupported_upgrade

TOKENS = st.text(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1
)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((), id="none"),
        pytest.param(("websocket",), id="websocket"),
        pytest.param(("WebSocket",), id="letter case"),
        pytest.param((" \twebsocket ",), id="optional white space"),
    ],
)
def test_plain_requests_and_websockets(values: tuple[str, ...]) -> None:
    headers = (("host", "app"), *(("upgrade", value) for value in values))
    assert not requests_unsupported_upgrade(headers)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(("h2c",), id="h2c"),
        pytest.param(("h2c, websocket",), id="a list, websocket last"),
        pytest.param(("websocket, h2c",), id="a list, websocket first"),
        pytest.param(("websocket,",), id="a list of one"),
        pytest.param(("websocket", "h2c"), id="two lines"),
        pytest.param(("websocket", "websocket"), id="twice"),
        pytest.param(("websocket/13",), id="version"),
        pytest.param(("web socket",), id="two words"),
        pytest.param(("web\u017focket",), id="a letter that folds"),
        pytest.param(("websocket\x0b",), id="other white space"),
        pytest.param(("",), id="empty"),
        pytest.param(("TLS/1.0, HTTP/1.1",), id="TLS"),
        pytest.param(("SPDY/3.1",), id="SPDY"),
        pytest.param(("connect-udp",), id="connect-udp"),
        pytest.param(("tcp",), id="tcp"),
    ],
)
def test_any_other_protocol(values: tuple[str, ...]) -> None:
    assert requests_unsupported_upgrade(tuple(("upgrade", value) for value in values))


@pytest.mark.parametrize("value", ["AAMAAABkAARAAAAAAAIAAAAA", "", "nonsense"])
@pytest.mark.parametrize("upgrade", [(), (("upgrade", "websocket"),)], ids=["alone", "beside"])
def test_settings_of_http2(value: str, upgrade: tuple[tuple[str, str], ...]) -> None:
    assert requests_unsupported_upgrade((*upgrade, ("http2-settings", value)))


@given(values=st.lists(TOKENS, min_size=1, max_size=3))
def test_every_token_but_one(values: list[str]) -> None:
    headers = tuple(("upgrade", value) for value in values)
    assert requests_unsupported_upgrade(headers) == ([v.lower() for v in values] != ["websocket"])
