"""Criteria about the request: `http_method`, `http_path`, `cors_preflight`, and our extensions
`http_header/<name>` and `query/<name>`. They compare strings.

An absent value matches nothing, not even `not`. A repeated value counts as unknown, because
applications differ in which one they use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from authz_sidecar.core.types import CheckRequest, RequestAttribute
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.matchers import string_matcher
from authz_sidecar.policy.paths import decode_path
from authz_sidecar.policy.reasons import outcome_of_failure, outcome_of_success

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def http_method(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `http_method`; None after reporting problems."""
    return _compared(
        data,
        compile_context,
        RequestAttribute.METHOD,
        lambda request: (request.method,),
        "http-method",
    )


def http_path(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `http_path`, which compares the decoded path; None after reporting problems."""
    return _compared(
        data,
        compile_context,
        RequestAttribute.PATH,
        lambda request: (decode_path(request.path),),
        "http-path",
    )


def http_header(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `http_header/<name>`; None after reporting problems."""
    name = compile_context.sub_path.lower()
    if not name:
        compile_context.problem("`http_header` needs the name of a header: `http_header/x-team`")
        return None
    return _compared(
        data,
        compile_context,
        RequestAttribute.HEADERS,
        lambda request: request.header_values(name),
        "http-header",
    )


def query(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `query/<name>`; None after reporting problems."""
    name = compile_context.sub_path
    if not name:
        compile_context.problem("`query` needs the name of a parameter: `query/tab`")
        return None
    return _compared(
        data,
        compile_context,
        RequestAttribute.QUERY,
        lambda request: parameter_values(request.query or "", name),
        "query",
    )


def _compared(
    data: object,
    compile_context: CompileContext,
    attribute: RequestAttribute,
    values_of: Callable[[CheckRequest], Sequence[str]],
    code: str,
) -> Criterion | None:
    matches = string_matcher(data, compile_context)
    if matches is None:
        return None
    attributes = frozenset({attribute})
    passing, failing = outcome_of_success(f"{code}-ok"), outcome_of_failure(f"{code}-unauthorized")
    unknown = compile_context.when_unknown(code=f"{code}-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _context: object) -> int:
        if not request.attributes >= attributes:
            return unknown
        values = values_of(request)
        if not values:
            return failing
        if len(values) > 1:
            return unknown
        return passing if matches(values[0]) else failing

    return compile_context.criterion(test, Dependency.REQUEST, attributes=attributes)


def parameter_values(text: str, name: str) -> list[str]:
    """Returns all values of a query parameter. Some applications separate by `;` too: where that
    gives other values, both are returned."""
    values = _split(text.split("&"), name)
    if ";" in text:
        split_at_semicolons = _split(text.replace(";", "&").split("&"), name)
        return values if split_at_semicolons == values else values + split_at_semicolons + [""]
    return values


def _split(pairs: list[str], name: str) -> list[str]:
    return [
        unquote_plus(value)
        for key, _, value in (pair.partition("=") for pair in pairs)
        if unquote_plus(key) == name
    ]


_ATTRIBUTES = frozenset({RequestAttribute.METHOD, RequestAttribute.HEADERS})


def cors_preflight(_data: object, compile_context: CompileContext) -> Criterion:
    """Compiles `cors_preflight`, which holds for the request that a browser sends before a
    cross-origin one (Fetch, "CORS-preflight request")."""
    passing, failing = outcome_of_success("cors-request"), outcome_of_failure("non-cors-request")
    unknown = compile_context.when_unknown(code="cors-request-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _context: object) -> int:
        if not request.attributes >= _ATTRIBUTES:
            return unknown
        if request.method != "OPTIONS":
            return failing
        names_method = any(request.header_values("access-control-request-method"))
        return passing if names_method and any(request.header_values("origin")) else failing

    return compile_context.criterion(test, Dependency.REQUEST, attributes=_ATTRIBUTES)
