"""Criteria about the request line: `http_method` and `http_path`."""

from __future__ import annotations

from authz_sidecar.core.types import CheckRequest, Fact
from authz_sidecar.policy.criteria.base import About, Criterion, Site
from authz_sidecar.policy.matchers import string_matcher
from authz_sidecar.policy.paths import decoded
from authz_sidecar.policy.reasons import fails, holds

_METHOD = frozenset({Fact.METHOD})
_PATH = frozenset({Fact.PATH})


def http_method(data: object, site: Site) -> Criterion | None:
    matches = string_matcher(data, site)
    if matches is None:
        return None
    passing, failing = holds("http-method-ok"), fails("http-method-unauthorized")
    unknown = site.when_unknown(code="http-method-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _evidence: object) -> int:
        if not request.facts >= _METHOD:
            return unknown
        return passing if matches(request.method) else failing

    return site.criterion(test, About.REQUEST, facts=_METHOD)


def http_path(data: object, site: Site) -> Criterion | None:
    matches = string_matcher(data, site)
    if matches is None:
        return None
    passing, failing = holds("http-path-ok"), fails("http-path-unauthorized")
    unknown = site.when_unknown(code="http-path-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _evidence: object) -> int:
        if not request.facts >= _PATH:
            return unknown
        return passing if matches(decoded(request.path)) else failing

    return site.criterion(test, About.REQUEST, facts=_PATH)
