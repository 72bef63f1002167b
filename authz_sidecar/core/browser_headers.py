"""Response headers that isolate a page from every other page in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

OPENER_POLICY = "cross-origin-opener-policy"
RESOURCE_POLICY = "cross-origin-resource-policy"
_FEATURES = (
    "camera",
    "display-capture",
    "geolocation",
    "hid",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "serial",
    "usb",
)

ISOLATION_HEADERS: Headers = (
    # HTML, "Cross-origin opener policies": the opener of the window loses its handle on it.
    (OPENER_POLICY, "same-origin"),
    # Fetch, "Cross-Origin-Resource-Policy header": no other origin embeds it.
    (RESOURCE_POLICY, "same-origin"),
    ("permissions-policy", ", ".join(f"{feature}=()" for feature in _FEATURES)),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
)
"""For every page and every refusal. A header that the response sets itself is kept."""


def with_isolation_headers(status: int, headers: Headers) -> Headers:
    """Returns the headers of a response, with those of `ISOLATION_HEADERS` that it lacks.

    A redirect shows nothing and is left as it is: an opener policy on it would cut a page off from
    the window in which its visitor signs in again.
    """
    if 300 <= status < 400:
        return headers
    present = {name.lower() for name, _ in headers}
    return (*headers, *(line for line in ISOLATION_HEADERS if line[0] not in present))
