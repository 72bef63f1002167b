"""Adapters: pure translations between each proxy's subrequest and the package's own types."""
