"""The metadata of protected resources (RFC 9728): which issuers' tokens a host accepts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from authz_sidecar.core.path_normalization import interpretations
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.oidc.jws import ALGORITHMS
from authz_sidecar.routes.model import PathKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens.settings import IssuerSettings

WELL_KNOWN_PATH = "/.well-known/oauth-protected-resource"
_SAFE_IN_PATH = "/-._~!$&'()*+,;=:@"


def metadata_url(origin: Origin, route: Route) -> str:
    """Return the URL of a route's metadata, with the resource's path at its end (section 3.1)."""
    paths = route.paths
    path = "" if paths.kind is PathKind.REGEX or paths.text == "/" else paths.text
    # The URL is in a quoted string: every unsafe character of the path is escaped.
    return f"{origin}{WELL_KNOWN_PATH}{quote(path, safe=_SAFE_IN_PATH)}"


class ProtectedResources:
    """The metadata documents of all routes. `issuers` are by the names that routes use."""

    def __init__(self, index: RouteIndex, issuers: Mapping[str, IssuerSettings]) -> None:
        self._index = index
        self._issuers = issuers

    def metadata(self, origin: Origin, path: str) -> Mapping[str, object] | None:
        """Return the document of a raw path, empty for the whole host.

        None when no token is accepted there, whether or not the path exists.
        """
        issuers = [
            self._issuers[name]
            for name in dict.fromkeys(self._issuer_names(origin, path))
            if self._issuers[name].advertised
        ]
        if not issuers:
            return None
        document: dict[str, object] = {
            # Section 3.3: "MUST be identical to" what the path was inserted into.
            "resource": f"{origin}{path}",
            "authorization_servers": list(dict.fromkeys(issuer.issuer for issuer in issuers)),
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
        }
        scopes = sorted({scope for issuer in issuers for scope in issuer.scopes})
        if scopes:
            document["scopes_supported"] = scopes
        if all(issuer.require_dpop for issuer in issuers):
            document["dpop_bound_access_tokens_required"] = True
        return document

    def _issuer_names(self, origin: Origin, path: str) -> tuple[str, ...]:
        if path in ("", "/"):
            routes = self._index.for_host(origin)
            return tuple(name for route in routes for name in route.token_issuers)
        try:
            path_interpretations = interpretations(
                path, ignore_case=self._index.ignores_case(origin)
            )
        except MalformedUrl:
            return ()
        route = self._index.match(origin, path) if len(path_interpretations) == 1 else None
        return () if route is None else route.token_issuers
