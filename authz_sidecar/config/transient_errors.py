"""Which errors of the operating system say nothing about a file: that it cannot be read now does not
mean that it cannot be read."""

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
    """Raises `TemporaryError` where another attempt may succeed."""
    if error.errno in _TEMPORARY:
        raise TemporaryError(f"`{path}` cannot be read now: {(error.strerror or '').lower()}")
