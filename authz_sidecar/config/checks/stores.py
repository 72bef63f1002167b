"""The URL schemes of stores for sessions and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Secret

REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
STORE_SCHEMES = ("memory", *REDIS_SCHEMES)


def store_url_problem(url: Secret, schemes: tuple[str, ...]) -> str | None:
    """Return the problem with the scheme of a store URL, or None."""
    scheme, separator, _ = url.reveal().partition("://")
    if separator and scheme in schemes:
        return None
    return f"must begin with one of {', '.join(f'`{allowed}://`' for allowed in schemes)}"
