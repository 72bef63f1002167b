"""Which route a request belongs to. Knows hosts and paths; policies are carried, never asked."""

from __future__ import annotations

from authz_sidecar.routes.build import CompiledRoutes, build_routes
from authz_sidecar.routes.index import RouteIndex
from authz_sidecar.routes.model import Route

__all__ = ["CompiledRoutes", "Route", "RouteIndex", "build_routes"]
