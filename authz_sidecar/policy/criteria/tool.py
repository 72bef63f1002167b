"""`mcp_tool`: the tool a Model Context Protocol call names. For evaluation until bodies are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.types import Fact
from authz_sidecar.policy.criteria.base import About, Criterion, Site
from authz_sidecar.policy.matchers import string_matcher
from authz_sidecar.policy.reasons import fails, holds

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Evidence

_FACTS = frozenset({Fact.BODY})


def mcp_tool(data: object, site: Site) -> Criterion | None:
    matches = string_matcher(data, site)
    if matches is None:
        return None
    passing, failing = holds("mcp-tool-match"), fails("mcp-tool-no-match")
    no_call = fails("mcp-not-a-tool-call")
    unknown = site.when_unknown(code="mcp-tool-unknown", failing=no_call)

    def test(_request: object, _subject: object, _now: float, evidence: Evidence) -> int:
        call = evidence.call
        if call is None:
            return unknown
        if call.method != "tools/call":
            return no_call
        return passing if call.tool is not None and matches(call.tool) else failing

    return site.criterion(test, About.EVIDENCE, facts=_FACTS)
