"""Proxy configurations for a configuration of ours: the files of `deploy/`, with its hosts,
addresses and identity headers in the place of the example's. What is written there is what the
end-to-end tests run, so nothing is said twice."""

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
