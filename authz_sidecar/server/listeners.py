"""Binds the listening sockets, and explains in one sentence why an address cannot be used.

Must not know what is served there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from authz_sidecar.config.value_parsers import ListenAddress, TcpAddress
from authz_sidecar.errors import StartupError

BACKLOG = 2048
UNIX_MODE = 0o660
"""Read and write for owner and group: the proxy's user joins the sidecar's group, or the reverse."""

_CONNECT_SECONDS = 1.0

_REASONS = {
    errno.EADDRINUSE: "the address is in use; another process listens there",
    errno.EACCES: "permission denied; use another address or give this user the right",
    errno.EPERM: "permission denied; use another address or give this user the right",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENOENT: "the directory does not exist",
    errno.ENOTDIR: "the directory does not exist",
    errno.EROFS: "the directory is read-only",
}


def bind(setting: str, address: ListenAddress) -> tuple[socket.socket, ...]:
    """Return the listening sockets: one for each address of a host name, one otherwise.

    Raises `StartupError`, whose message names `setting`, when the address cannot be used.
    """
    with contextlib.ExitStack() as stack:
        try:
            if isinstance(address, TcpAddress):
                sockets = _bind_tcp(address, stack)
            else:
                sockets = (_bind_unix(Path(address.path), stack),)
            for listener in sockets:
                listener.listen(BACKLOG)
                listener.setblocking(False)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, (error.strerror or str(error)).lower())
            raise StartupError(f"cannot listen on `{setting}: {address}`: {reason}") from error
        stack.pop_all()
        return sockets


def _bind_tcp(address: TcpAddress, stack: contextlib.ExitStack) -> tuple[socket.socket, ...]:
    try:
        addresses = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, "no such host name") from error
    sockets = []
    for family, kind, protocol, _, socket_address in dict.fromkeys(addresses):
        listener = stack.enter_context(socket.socket(family, kind, protocol))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(socket_address)
        except OSError as error:
            # `localhost` may stand for an IPv6 address that this machine does not have.
            if error.errno != errno.EADDRNOTAVAIL or len(addresses) == 1:
                raise
            continue
        sockets.append(listener)
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, "")
    return tuple(sockets)


def _bind_unix(path: Path, stack: contextlib.ExitStack) -> socket.socket:
    _remove_stale_socket(path)
    listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    # No other user may connect between `bind` and `chmod`.
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    path.chmod(UNIX_MODE)
    return listener


def _remove_stale_socket(path: Path) -> None:
    """Remove a stale socket file. Raises `OSError` for any other file and for a live socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file that is no socket is in the way")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            raise OSError(errno.EADDRINUSE, "")


def remove_socket_file(address: ListenAddress) -> None:
    """Remove the file of a closed Unix listener; do nothing for a TCP address."""
    if not isinstance(address, TcpAddress):
        with contextlib.suppress(OSError):
            Path(address.path).unlink()
