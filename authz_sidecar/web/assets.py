"""The static files of the pages: read once at start, and named with a digest of their content, so
that browsers may cache them for a year and still get a new release at once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from authz_sidecar.core.browser_headers import RESOURCE_POLICY

_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A static file; `digest` begins the SHA-256 of its content."""

    body: bytes
    media_type: str
    digest: str

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the response headers."""
        return (
            ("content-type", self.media_type),
            ("x-content-type-options", "nosniff"),
            # The last page of a tool's sign-in is sandboxed, so it has no origin.
            (RESOURCE_POLICY, "cross-origin"),
            ("cache-control", "public, max-age=31536000, immutable"),
            # An SVG opened on its own is a document: it may run and load nothing.
            ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
        )


def load_assets() -> dict[str, Asset]:
    """Return every file of `static/` by its name."""
    assets = {}
    for entry in files("authz_sidecar.web").joinpath("static").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _MEDIA_TYPES:
            body = entry.read_bytes()
            assets[entry.name] = Asset(
                body=body,
                media_type=_MEDIA_TYPES[suffix],
                digest=sha256(body).hexdigest()[:12],
            )
    return assets
