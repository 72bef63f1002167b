"""Writes proxy configurations for a configuration of ours: the files of `deploy/`, which the
end-to-end tests run, with its hosts, listeners and headers."""

from __future__ import annotations

from authz_sidecar.snippets.facts import DeploymentFacts, SnippetError, deployment_facts
from authz_sidecar.snippets.write import PROXIES, Snippet, render_snippet

__all__ = [
    "PROXIES",
    "DeploymentFacts",
    "Snippet",
    "SnippetError",
    "deployment_facts",
    "render_snippet",
]
