"""Chooses free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Final

from authz_sidecar.demo.scenario import Ports

_PUBLIC_PORTS: Final = range(8080, 8100)


class PortError(Exception):
    """The requested port is unavailable; the message names the setting to change."""


def choose_ports(public: int | None, *, memorable: bool = True) -> Ports:
    """Return free ports. `public` is the requested one, otherwise 8080 or the next free one, or any
    free port if it need not be `memorable`. Raises `PortError` if the requested one is
    unavailable."""
    chosen = None
    if public is None and memorable:
        chosen = next((port for port in _PUBLIC_PORTS if _unavailable_reason(port) is None), None)
    elif public is not None:
        reason = _unavailable_reason(public)
        if reason is not None:
            raise PortError(
                f"Port {public} cannot be used: {reason}. Choose another one with PORT=... "
                "(`make demo PORT=8090`, or `--port 8090`), or leave it out to use a free one."
            )
        chosen = public
    with contextlib.ExitStack() as stack:
        others = []
        for _ in range(6):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            others.append(listener.getsockname()[1])
    spare, app, provider, check, web, ops = others
    return Ports(public=chosen or spare, app=app, provider=provider, check=check, web=web, ops=ops)


def _unavailable_reason(port: int) -> str | None:
    with socket.socket() as listener:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except PermissionError:
            return "ports below 1024 need root"
        except OSError:
            return "another program listens there"
    # Browsers also try ::1 for *.localhost and would reach a program that listens there.
    with contextlib.suppress(OSError), socket.create_connection(("::1", port), timeout=0.2):
        return "another program listens there (on ::1)"
    return None
