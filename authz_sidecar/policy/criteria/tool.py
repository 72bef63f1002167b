"""`mcp_tool`: the tool that a Model Context Protocol call names. Only for test vectors: no adapter
delivers bodies yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.matchers import string_matcher
from authz_sidecar.policy.reasons import outcome_of_failure, outcome_of_success

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Context

_ATTRIBUTES = frozenset({RequestAttribute.BODY})


def mcp_tool(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `mcp_tool`; None after reporting problems."""
    matches = string_matcher(data, compile_context)
    if matches is None:
        return None
    passing, failing = outcome_of_success("mcp-tool-match"), outcome_of_failure("mcp-tool-no-match")
    no_call = outcome_of_failure("mcp-not-a-tool-call")
    unknown = compile_context.when_unknown(code="mcp-tool-unknown", failing=no_call)

    def test(_request: object, _subject: object, _now: float, context: Context) -> int:
        call = context.call
        if call is None:
            return unknown
        if call.method != "tools/call":
            return no_call
        return passing if call.tool is not None and matches(call.tool) else failing

    return compile_context.criterion(test, Dependency.RECORDS, attributes=_ATTRIBUTES)
