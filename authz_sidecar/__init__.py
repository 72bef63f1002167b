"""authz-sidecar: forward auth with Pomerium policies for the proxy you already run."""

__version__ = "0.1.0"
