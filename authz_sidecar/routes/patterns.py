"""Parses where a route applies: `from`, and `prefix`, `path` or `regex`."""

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
    """A pattern that is refused; the message is for the operator. `key` is the wrong setting, if it
    is one."""

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def parse_host_pattern(text: str) -> HostPattern:
    """Parses `https://app.example.com[:port]`, with `*.` or `**.` before the host for a wildcard.
    Raises `RoutePatternError`."""
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
            f"`{text}` has a `*` that is not at the beginning: `*.example.com` covers one label,"
            " `**.example.com` any number of them"
        )
    try:
        origin = parse_authority(to_a_labels(name), scheme=scheme)
    except MalformedUrl as error:
        raise RoutePatternError(str(error)) from None
    if depth is not WildcardDepth.EXACT and _NUMERIC.fullmatch(origin.host):
        raise RoutePatternError(f"`{text}` is a wildcard over addresses: name the addresses")
    return HostPattern(scheme, depth, origin.host, origin.port)


def exact_origin(host: HostPattern) -> Origin:
    """Returns the origin of an exact pattern, or of the parent name of a wildcard."""
    return Origin(host.scheme, host.name, host.port)


def parse_path_rule(settings: PathSettings) -> PathRule:
    """Returns the rule of `path`, `regex` or `prefix`; every path where none is given. Raises
    `RoutePatternError`."""
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
    """Checks a path of a rule: rules compare decoded paths, and a request with an ambiguous path is
    refused, so a rule for one would never apply."""
    if not path.startswith("/"):
        raise RoutePatternError(f"`{path}` does not begin with `/`", key=key)
    if match := _AMBIGUOUS.search(path):
        if match.group() == "%":
            raise RoutePatternError(f"`{path}` contains `%`: write the path decoded", key=key)
        raise RoutePatternError(
            f"`{path}` contains `{match.group()}`: a request with such a path is refused", key=key
        )
    return path


def _pattern(pattern: str) -> str:
    try:
        compile_full_match(pattern)
    except RegexError as error:
        raise RoutePatternError(f"`{pattern[:100]}` {error}", key="regex") from None
    return pattern
