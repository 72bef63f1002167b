"""Prometheus metrics. Every label has few values, so that no client can make the registry grow."""

from authz_sidecar.observe.metrics.exposition import render
from authz_sidecar.observe.metrics.registry import Metrics

__all__ = ["Metrics", "render"]
