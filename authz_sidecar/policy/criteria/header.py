"""`http_header/<name>` and `query/<name>`: values a client chose, compared as strings.

Extensions of ours. An absent value matches nothing, not even `not`; one given twice has no value
that an application is sure to take, so it counts as unknown.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from authz_sidecar.core.types import CheckRequest, Fact
from authz_sidecar.policy.criteria.base import About, Criterion, Site
from authz_sidecar.policy.matchers import string_matcher
from authz_sidecar.policy.reasons import fails, holds

_HEADERS = frozenset({Fact.HEADERS})
_QUERY = frozenset({Fact.QUERY})


def http_header(data: object, site: Site) -> Criterion | None:
    name = site.sub_path.lower()
    if not name:
        site.problem("`http_header` needs the name of a header: `http_header/x-team`")
        return None
    matches = string_matcher(data, site)
    if matches is None:
        return None
    passing, failing = holds("http-header-ok"), fails("http-header-unauthorized")
    unknown = site.when_unknown(code="http-header-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _evidence: object) -> int:
        if not request.facts >= _HEADERS:
            return unknown
        values = request.header_values(name)
        if not values:
            return failing
        if len(values) > 1:
            return unknown
        return passing if matches(values[0]) else failing

    return site.criterion(test, About.REQUEST, facts=_HEADERS)


def query(data: object, site: Site) -> Criterion | None:
    name = site.sub_path
    if not name:
        site.problem("`query` needs the name of a parameter: `query/tab`")
        return None
    matches = string_matcher(data, site)
    if matches is None:
        return None
    passing, failing = holds("query-ok"), fails("query-unauthorized")
    unknown = site.when_unknown(code="query-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _evidence: object) -> int:
        if not request.facts >= _QUERY:
            return unknown
        values = parameter_values(request.query or "", name)
        if not values:
            return failing
        if len(values) > 1:
            return unknown
        return passing if matches(values[0]) else failing

    return site.criterion(test, About.REQUEST, facts=_QUERY)


def parameter_values(text: str, name: str) -> list[str]:
    """All values of a parameter. Some applications separate by `;` too: where that makes another
    reading, the values of both are given."""
    values = _split(text.split("&"), name)
    if ";" in text:
        other = _split(text.replace(";", "&").split("&"), name)
        return values if other == values else values + other + [""]
    return values


def _split(pairs: list[str], name: str) -> list[str]:
    return [
        unquote_plus(value)
        for key, _, value in (pair.partition("=") for pair in pairs)
        if unquote_plus(key) == name
    ]
