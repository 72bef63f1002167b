"""Tells temporary errors of the operating system from lasting ones: after a temporary error, a file
that cannot be read now may be readable later."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from authz_sidecar.errors import TemporaryError

if TYPE_CHECKING:
    from pathlib import Path

_TEMPORARY = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)


def raise_if_temporary(error: OSError, path: Path) -> None:
    """Raise `TemporaryError` for an error after which another attempt may succeed; return
    otherwise."""
    if error.errno in _TEMPORARY:
        raise TemporaryError(f"`{path}` cannot be read now: {(error.strerror or '').lower()}")
