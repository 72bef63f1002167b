"""Routes: which route a request belongs to, by host and path. Carries the policy of a route, never
decides by it."""

from __future__ import annotations

from authz_sidecar.routes.build import CompiledRoutes, build_routes
from authz_sidecar.routes.index import RouteIndex
from authz_sidecar.routes.model import Route

__all__ = ["CompiledRoutes", "Route", "RouteIndex", "build_routes"]
