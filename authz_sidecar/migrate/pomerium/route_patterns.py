"""From Pomerium's `from`, `prefix`, `path` and `regex` to a place of ours, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from authz_sidecar.routes.patterns import PlaceError, parse_host_pattern, parse_path_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_sidecar.routes.model import HostPattern, PathRule


class NoPlaceError(ValueError):
    """`key` is the option that cannot be carried over, `host` where the route was, if that is
    known. `never`: the route never answered anyway."""

    def __init__(self, key: str, message: str, *, never: bool = False) -> None:
        super().__init__(message)
        self.key = key
        self.never = never
        self.host: HostPattern | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    prefix: str | None = None
    path: str | None = None
    regex: str | None = None
    prefix_match: Literal["segment", "plain"] = "segment"


@dataclass(frozen=True, slots=True)
class Place:
    """`settings` are what our route says; host and paths what that means."""

    settings: dict[str, Any]
    host: HostPattern
    paths: PathRule


def place_of(route: Mapping[str, Any]) -> Place:
    origin = _origin(route.get("from"))
    try:
        host = parse_host_pattern(origin)
    except PlaceError as wrong:
        raise NoPlaceError("from", str(wrong)) from None
    try:
        settings: dict[str, Any] = dict(_paths(route))
        rule = parse_path_rule(_Paths(**settings))
    except PlaceError as wrong:
        raise _on(host, NoPlaceError(wrong.key or "prefix", str(wrong))) from None
    except NoPlaceError as wrong:
        raise _on(host, wrong) from None
    return Place({"from": origin} | settings, host, rule)


def _on(host: HostPattern, error: NoPlaceError) -> NoPlaceError:
    error.host = host
    return error


def _origin(written: object) -> str:
    text = str(written or "").strip().removesuffix("/")
    scheme, separator, authority = text.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https") or not separator:
        kind = f"`{scheme}` is" if separator else "this is"
        raise NoPlaceError("from", f"{kind} no web traffic: keep Pomerium, or another way, for it")
    if "*" not in authority:
        return f"{scheme}://{authority}"
    rest = authority.removeprefix("*.")
    if rest == authority or "*" in rest:
        raise NoPlaceError(
            "from", "only `*.` in front of a name is a pattern here: name the hosts one by one"
        )
    # In Pomerium a star spans dots.
    return f"{scheme}://**.{rest}"


def _paths(route: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """As in Pomerium's proxy: a pattern comes before a path before a prefix."""
    if pattern := route.get("regex"):
        yield "regex", _unanchored(str(pattern))
    elif path := route.get("path"):
        yield "path", _absolute("path", path)
    elif (prefix := route.get("prefix")) and prefix != "/":
        yield "prefix", _absolute("prefix", prefix)
        yield "prefix_match", "plain"


def _absolute(key: str, path: object) -> str:
    text = str(path)
    if not text.startswith("/"):
        message = "no path begins like this, so the route never answered"
        raise NoPlaceError(key, message, never=True)
    return text


def _unanchored(pattern: str) -> str:
    """A pattern always has to match the whole path, there as here."""
    pattern = pattern.removeprefix("^")
    if pattern.endswith("$"):
        backslashes = len(pattern[:-1]) - len(pattern[:-1].rstrip("\\"))
        if backslashes % 2 == 0:
            return pattern[:-1]
    return pattern


def ignored_paths(route: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of a route's path options that Pomerium's proxy does not look at."""
    given = [key for key in ("regex", "path", "prefix") if route.get(key)]
    return tuple(given[1:])
