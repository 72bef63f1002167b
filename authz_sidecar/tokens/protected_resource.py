"""What a protected host says about itself to programs (RFC 9728): whose tokens count here. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from authz_sidecar.core.path_normalization import readings
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.routes.model import PathKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens.settings import IssuerSettings

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_OF_PATHS = "/-._~!$&'()*+,;=:@"


def metadata_url(origin: Origin, route: Route) -> str:
    """Where the metadata of a route is: section 3.1 puts the resource's path behind ours."""
    paths = route.paths
    path = "" if paths.kind is PathKind.REGEX or paths.text == "/" else paths.text
    # In a quoted string, and as one address: whatever a path may hold is escaped.
    return f"{origin}{WELL_KNOWN}{quote(path, safe=_OF_PATHS)}"


class Resources:
    def __init__(self, index: RouteIndex, issuers: Mapping[str, IssuerSettings]) -> None:
        self._index = index
        self._issuers = issuers

    def metadata(self, origin: Origin, path: str) -> Mapping[str, object] | None:
        """About `path` of a host, raw and empty for the host as a whole; None where no token
        counts, whether or not there is such a path."""
        issuers = [
            self._issuers[name]
            for name in dict.fromkeys(self._names(origin, path))
            if self._issuers[name].advertised
        ]
        if not issuers:
            return None
        document: dict[str, object] = {
            # Section 3.3: "MUST be identical to" what the path was inserted into.
            "resource": f"{origin}{path}",
            "authorization_servers": list(dict.fromkeys(each.issuer for each in issuers)),
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
        }
        scopes = sorted({scope for each in issuers for scope in each.scopes})
        if scopes:
            document["scopes_supported"] = scopes
        if all(each.require_dpop for each in issuers):
            document["dpop_bound_access_tokens_required"] = True
        return document

    def _names(self, origin: Origin, path: str) -> tuple[str, ...]:
        if path in ("", "/"):
            routes = self._index.for_host(origin)
            return tuple(name for route in routes for name in route.token_issuers)
        try:
            meanings = readings(path, ignore_case=self._index.ignores_case(origin))
        except MalformedUrl:
            return ()
        route = self._index.match(origin, path) if len(meanings) == 1 else None
        return () if route is None else route.token_issuers
