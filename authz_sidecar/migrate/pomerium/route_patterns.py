"""Converts Pomerium's `from`, `prefix`, `path` and `regex` to a pattern of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from authz_sidecar.routes.patterns import RoutePatternError, parse_host_pattern, parse_path_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_sidecar.routes.model import HostPattern, PathRule


class UnsupportedPatternError(ValueError):
    """A route whose pattern cannot be converted.

    `key`: the option that cannot be converted.
    `host`: the route's host, if that is known.
    `never_matched`: whether the route never matched a request in Pomerium either.
    """

    def __init__(self, key: str, message: str, *, never_matched: bool = False) -> None:
        super().__init__(message)
        self.key = key
        self.never_matched = never_matched
        self.host: HostPattern | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PathOptions:
    prefix: str | None = None
    path: str | None = None
    regex: str | None = None
    prefix_match: Literal["segment", "plain"] = "segment"


@dataclass(frozen=True, slots=True)
class RoutePattern:
    """A converted pattern: `settings` of our route, and the host and paths that they mean."""

    settings: dict[str, Any]
    host: HostPattern
    paths: PathRule


def parse_route_pattern(route: Mapping[str, Any]) -> RoutePattern:
    """Return the pattern of a Pomerium route. Raises `UnsupportedPatternError`."""
    origin = _convert_origin(route.get("from"))
    try:
        host = parse_host_pattern(origin)
    except RoutePatternError as error:
        raise UnsupportedPatternError("from", str(error)) from None
    try:
        settings: dict[str, Any] = dict(_path_options(route))
        rule = parse_path_rule(_PathOptions(**settings))
    except RoutePatternError as error:
        raise _with_host(host, UnsupportedPatternError(error.key or "prefix", str(error))) from None
    except UnsupportedPatternError as error:
        raise _with_host(host, error) from None
    return RoutePattern({"from": origin} | settings, host, rule)


def _with_host(host: HostPattern, error: UnsupportedPatternError) -> UnsupportedPatternError:
    error.host = host
    return error


def _convert_origin(written: object) -> str:
    text = str(written or "").strip().removesuffix("/")
    scheme, separator, authority = text.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https") or not separator:
        kind = f"`{scheme}` is" if separator else "this is"
        raise UnsupportedPatternError(
            "from", f"{kind} not HTTP: keep Pomerium, or another proxy, for it"
        )
    if "*" not in authority:
        return f"{scheme}://{authority}"
    rest = authority.removeprefix("*.")
    if rest == authority or "*" in rest:
        raise UnsupportedPatternError(
            "from", "only `*.` in front of a name is a pattern here: name the hosts one by one"
        )
    # In Pomerium a star spans dots.
    return f"{scheme}://**.{rest}"


def _path_options(route: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """As in Pomerium's proxy: a pattern comes before a path before a prefix."""
    if pattern := route.get("regex"):
        yield "regex", _unanchored(str(pattern))
    elif path := route.get("path"):
        yield "path", _require_absolute("path", path)
    elif (prefix := route.get("prefix")) and prefix != "/":
        yield "prefix", _require_absolute("prefix", prefix)
        yield "prefix_match", "plain"


def _require_absolute(key: str, path: object) -> str:
    text = str(path)
    if not text.startswith("/"):
        message = "no path begins like this, so the route never answered"
        raise UnsupportedPatternError(key, message, never_matched=True)
    return text


def _unanchored(pattern: str) -> str:
    """A pattern always has to match the whole path, there as here."""
    pattern = pattern.removeprefix("^")
    if pattern.endswith("$"):
        backslashes = len(pattern[:-1]) - len(pattern[:-1].rstrip("\\"))
        if backslashes % 2 == 0:
            return pattern[:-1]
    return pattern


def ignored_path_options(route: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those of a route's path options that Pomerium ignores, because another one takes
    precedence."""
    given = [key for key in ("regex", "path", "prefix") if route.get(key)]
    return tuple(given[1:])
