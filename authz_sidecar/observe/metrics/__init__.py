"""Counts for Prometheus. Every label takes few values, so that no client can make the registry grow."""

from authz_sidecar.observe.metrics.counting import Metrics
from authz_sidecar.observe.metrics.text import page

__all__ = ["Metrics", "page"]
