"""The schemes of the places where sessions and tables are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Secret

REDIS = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
STORES = ("memory", *REDIS)


def no_store(url: Secret, schemes: tuple[str, ...]) -> str | None:
    """What is wrong with it, as far as its scheme tells."""
    scheme, separator, _ = url.reveal().partition("://")
    if separator and scheme in schemes:
        return None
    return f"must begin with one of {', '.join(f'`{each}://`' for each in schemes)}"
