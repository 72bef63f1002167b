"""`cors_preflight`: the question a browser asks before a request to another site."""

from __future__ import annotations

from authz_sidecar.core.types import CheckRequest, Fact
from authz_sidecar.policy.criteria.base import About, Criterion, Site
from authz_sidecar.policy.reasons import fails, holds

_FACTS = frozenset({Fact.METHOD, Fact.HEADERS})


def cors_preflight(_data: object, site: Site) -> Criterion:
    passing, failing = holds("cors-request"), fails("non-cors-request")
    unknown = site.when_unknown(code="cors-request-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _evidence: object) -> int:
        if not request.facts >= _FACTS:
            return unknown
        if request.method != "OPTIONS":
            return failing
        asked = any(request.header_values("access-control-request-method"))
        return passing if asked and any(request.header_values("origin")) else failing

    return site.criterion(test, About.REQUEST, facts=_FACTS)
