"""Parses policy test cases: a request, an identity, and the expected verdict.

Collects every problem of a file of cases; runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.core.protocol_upgrade import requests_unsupported_upgrade
from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.core.types import CheckRequest, Identity
from authz_sidecar.core.urls import MalformedUrl, Origin, iri_to_uri, parse_url
from authz_sidecar.policy.reasons import CODES

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep, SourceLocation, SourceMap
    from authz_sidecar.core.types import Address, Headers
    from authz_sidecar.errors import Problem

T = TypeVar("T")
DocumentPath = tuple["PathStep", ...]

VERDICTS = ("allow", "deny", "refused", "sign-in")
# Those of the authorizer, beside those of policies.
REASONS = frozenset(
    {
        *CODES,
        "ambiguous-header",
        "bad-request",
        "origin-not-allowed",
        "route-not-found",
        "upgrade-not-allowed",
    }
)

_CASE = ("expect", "identity", "name", "request")
_REQUEST = ("at", "headers", "ip", "method", "url")
_IDENTITY = ("acr", "amr", "claims", "email", "groups", "provider", "signed_in_at", "user")
_EXPECT = ("reasons", "route", "verdict")

UNSPECIFIED_USER = "(not given)"
"""The user id of an identity for which a case gives other fields only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedResult:
    """What a case expects. A None field is not compared; all of `reasons` have to be among those
    given."""

    verdict: str | None
    route: str | None
    reasons: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTestCase:
    """One test case.

    - `request`: delivers every attribute; the runner removes those that no proxy delivers.
    - `identity`: its provider is empty where the route's own is meant.
    - `now`: Unix seconds; None for the time of the run.
    """

    name: str
    location: SourceLocation
    request: CheckRequest
    identity: Identity | None
    now: float | None
    expected: ExpectedResult


def parse_cases(
    document: object, *, source_map: SourceMap, problems: list[Problem]
) -> tuple[PolicyTestCase, ...]:
    """Returns the cases of a file: a list of them, or an object with `cases`. Problems are added to
    `problems`; with any of them, no case should be run."""
    reader = _Reader(source_map, problems)
    path: DocumentPath = ()
    if isinstance(document, Mapping):
        reader.keys(document, ("cases",), ())
        document, path = document.get("cases"), ("cases",)
    if not isinstance(document, list | tuple) or not document:
        problems.append(source_map.problem("holds no list of cases", *path))
        return ()
    return tuple(
        case
        for index, item in enumerate(document)
        if (case := reader.case(item, (*path, index))) is not None
    )


class _Reader:
    def __init__(self, source_map: SourceMap, problems: list[Problem]) -> None:
        self._where = source_map
        self._problems = problems

    def problem(self, message: str, path: DocumentPath) -> None:
        self._problems.append(self._where.problem(message, *path))

    def keys(
        self, given: Mapping[object, object], known: tuple[str, ...], path: DocumentPath
    ) -> None:
        for key in given:
            if key not in known:
                self.problem(unknown_name_message("key", key, known), (*path, str(key)))

    def case(self, given: object, path: DocumentPath) -> PolicyTestCase | None:
        before = len(self._problems)
        if not isinstance(given, Mapping):
            self.problem("a case is an object with `request` and `expect`", path)
            return None
        self.keys(given, _CASE, path)
        request, now = self._request(given.get("request"), (*path, "request"))
        identity = self._identity(given.get("identity"), (*path, "identity"))
        expected = self._expected(given.get("expect"), (*path, "expect"))
        name = self._text(given, "name", path)
        if len(self._problems) > before or request is None or expected is None:
            return None
        return PolicyTestCase(
            name=name or f"{request.method} {request.url}",
            location=self._where.location_of(*path),
            request=request,
            identity=identity,
            now=now,
            expected=expected,
        )

    def _request(
        self, given: object, path: DocumentPath
    ) -> tuple[CheckRequest | None, float | None]:
        if isinstance(given, str):
            given = {"url": given}
        if not isinstance(given, Mapping) or "url" not in given:
            self.problem("takes an object with `url`", path)
            return None, None
        self.keys(given, _REQUEST, path)
        url = self._read(given, "url", _url, path)
        now = self._read(given, "at", _instant, path)
        client = self._read(given, "ip", _address, path)
        headers = self._headers(given.get("headers"), (*path, "headers"))
        method = self._text(given, "method", path) or "GET"
        if url is None:
            return None, None
        origin, target = url
        plain, mark, query = target.partition("?")
        request = CheckRequest(
            adapter="test",
            method=method,
            origin=origin,
            path=plain,
            query=query if mark else None,
            client=client,
            headers=headers,
            websocket=any(n == "upgrade" and v.lower() == "websocket" for n, v in headers),
            unsupported_upgrade=requests_unsupported_upgrade(headers),
        )
        return request, now

    def _headers(self, given: object, path: DocumentPath) -> Headers:
        if given is None:
            return ()
        if not isinstance(given, Mapping):
            self.problem("takes an object of header names and values", path)
            return ()
        lines: list[tuple[str, str]] = []
        for name, value in given.items():
            for text in value if isinstance(value, list | tuple) else [value]:
                if isinstance(text, str):
                    lines.append((str(name).lower(), text))
                else:
                    self.problem("takes text", (*path, str(name)))
        return tuple(lines)

    def _identity(self, given: object, path: DocumentPath) -> Identity | None:
        if given is None or given == "none":
            return None
        if not isinstance(given, Mapping):
            self.problem("takes `none`, or an object with `user`, `email`, `groups`, …", path)
            return None
        self.keys(given, _IDENTITY, path)
        claims = given.get("claims", {})
        if not isinstance(claims, Mapping):
            self.problem("takes an object of claims", (*path, "claims"))
            claims = {}
        return Identity(
            provider=self._text(given, "provider", path) or "",
            issuer="",
            subject=self._text(given, "user", path) or UNSPECIFIED_USER,
            email=self._text(given, "email", path),
            groups=self._texts(given, "groups", path),
            claims=claims,
            authenticated_at=self._read(given, "signed_in_at", _instant, path),
            acr=self._text(given, "acr", path),
            amr=self._texts(given, "amr", path),
        )

    def _expected(self, given: object, path: DocumentPath) -> ExpectedResult | None:
        if isinstance(given, str):
            given = {"verdict": given}
        if not isinstance(given, Mapping) or not given:
            self.problem("takes a verdict, or an object with `verdict`, `route`, `reasons`", path)
            return None
        self.keys(given, _EXPECT, path)
        verdict = self._text(given, "verdict", path)
        if verdict is not None and verdict not in VERDICTS:
            self.problem(unknown_name_message("verdict", verdict, VERDICTS), (*path, "verdict"))
        reasons = self._texts(given, "reasons", path)
        for index, reason in enumerate(reasons):
            if reason not in REASONS:
                message = unknown_name_message("reason", reason, REASONS)
                self.problem(message, (*path, "reasons", index))
        route = self._text(given, "route", path)
        return ExpectedResult(verdict=verdict, route=route, reasons=frozenset(reasons))

    def _read(
        self, given: Mapping[str, object], key: str, read: Callable[[str], T], path: DocumentPath
    ) -> T | None:
        text = self._text(given, key, path)
        try:
            return None if text is None else read(text)
        except ValueError as error:
            self.problem(str(error), (*path, key))
            return None

    def _text(self, given: Mapping[str, object], key: str, path: DocumentPath) -> str | None:
        value = given.get(key)
        if value is None or isinstance(value, str):
            return value
        self.problem("takes text, put it in quotes", (*path, key))
        return None

    def _texts(self, given: Mapping[str, object], key: str, path: DocumentPath) -> tuple[str, ...]:
        value = given.get(key, ())
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(
            isinstance(item, str) for item in values
        ):
            self.problem("takes a list of texts", (*path, key))
            return ()
        return tuple(values)


def _url(text: str) -> tuple[Origin, str]:
    try:
        return parse_url(iri_to_uri(text))
    except MalformedUrl as error:
        raise ValueError(f"`{text[:100]}` is no absolute url: {error}") from None


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"`{text[:100]}` is not an address") from None


def _instant(text: str) -> float:
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"`{text[:100]}` is not a time such as `2026-03-05T08:00:00Z`") from None
