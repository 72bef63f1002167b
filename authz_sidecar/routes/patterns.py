"""The grammar of a route's place: `from`, and `prefix`, `path` or `regex`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_authority, to_a_labels
from authz_sidecar.policy.regex import RegexError, compile_full_match
from authz_sidecar.routes.model import HostPattern, PathKind, PathRule, WildcardDepth

if TYPE_CHECKING:
    from authz_sidecar.routes.settings import PathSettings

_NUMERIC = re.compile(r"[0-9.]*|\[.*")

_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f?#;\\]|//|/\.\.?(?:/|$)|%")


class RoutePatternError(ValueError):
    """Not a place; the message is for the operator. `key` is the setting that is wrong, if one is."""

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def parse_host_pattern(text: str) -> HostPattern:
    """`https://app.example.com[:port]`, with `*.` or `**.` before the host where others count too."""
    scheme, separator, authority = text.partition("://")
    if not separator:
        raise RoutePatternError(f"`{text}` is not an origin such as `https://app.example.com`")
    depth = next(
        (
            depth
            for depth in (WildcardDepth.ANY, WildcardDepth.ONE_LABEL)
            if authority.startswith(depth.value)
        ),
        WildcardDepth.EXACT,
    )
    name = authority.removeprefix(depth.value)
    if "*" in name:
        raise RoutePatternError(
            f"`{text}` has a `*` elsewhere than in front: `*.example.com` covers one label,"
            " `**.example.com` any number of them"
        )
    try:
        origin = parse_authority(to_a_labels(name), scheme=scheme)
    except MalformedUrl as wrong:
        raise RoutePatternError(str(wrong)) from None
    if depth is not WildcardDepth.EXACT and _NUMERIC.fullmatch(origin.host):
        raise RoutePatternError(f"`{text}` is a wildcard over addresses: name the addresses")
    return HostPattern(scheme, depth, origin.host, origin.port)


def exact_origin(host: HostPattern) -> Origin:
    """The origin of an exact pattern, or of the parent name of a wildcard."""
    return Origin(host.scheme, host.name, host.port)


def parse_path_rule(settings: PathSettings) -> PathRule:
    """One of `path`, `regex` and `prefix`; every path where none is given."""
    given = [name for name in ("prefix", "path", "regex") if getattr(settings, name) is not None]
    if len(given) > 1:
        raise RoutePatternError(f"give only one of {', '.join(f'`{name}`' for name in given)}")
    if settings.regex is not None:
        return PathRule(PathKind.REGEX, _pattern(settings.regex))
    if settings.path is not None:
        return PathRule(PathKind.EXACT, _path(settings.path, "path"))
    prefix = _path(settings.prefix if settings.prefix is not None else "/", "prefix")
    if settings.prefix_match == "plain":
        return PathRule(PathKind.PLAIN_PREFIX, prefix)
    return PathRule(PathKind.PREFIX, prefix)


def _path(path: str, key: str) -> str:
    """Paths are compared decoded, and those with several readings are refused as requests: a rule
    for one would never apply."""
    if not path.startswith("/"):
        raise RoutePatternError(f"`{path}` does not begin with `/`", key=key)
    if found := _AMBIGUOUS.search(path):
        if found.group() == "%":
            raise RoutePatternError(f"`{path}` contains `%`: write the path decoded", key=key)
        raise RoutePatternError(
            f"`{path}` contains `{found.group()}`, which no path that passes contains", key=key
        )
    return path


def _pattern(pattern: str) -> str:
    try:
        compile_full_match(pattern)
    except RegexError as wrong:
        raise RoutePatternError(f"`{pattern[:100]}` {wrong}", key="regex") from None
    return pattern
