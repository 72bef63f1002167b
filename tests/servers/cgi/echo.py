"""What the application was given, as WSGI shows it; `/status/404` answers so. Run by uWSGI itself."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    # SCGI and FastCGI have the path in DOCUMENT_URI, uwsgi in PATH_INFO.
    path = environ.get("DOCUMENT_URI") or environ["PATH_INFO"]
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        return _websocket(environ, start_response)
    _, status, number = path.rpartition("/status/")
    headers = [("Content-Type", "application/json"), ("Set-Cookie", "one=1; Path=/")]
    start_response(f"{number} As asked" if status else "200 OK", headers)
    given = {name: value for name, value in environ.items() if isinstance(value, str)}
    body = environ["wsgi.input"].read().decode("latin-1")
    return [json.dumps({"variables": given, "body": body}).encode()]


def _websocket(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """RFC 6455 section 4.2.2. Says who is there, and sends the first bytes back."""
    import uwsgi  # only within its process

    key = f"{environ['HTTP_SEC_WEBSOCKET_KEY']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    user = environ.get("HTTP_X_AUTH_USER", "").encode()
    write = start_response("101 Switching Protocols", [*headers, ("Sec-WebSocket-Accept", accept)])
    write(b"\x81" + bytes([len(user)]) + user)
    connection = uwsgi.connection_fd()
    select.select([connection], [], [], 10)
    write(os.read(connection, 4096))
    return []
