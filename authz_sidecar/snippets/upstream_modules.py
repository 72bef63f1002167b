"""Derives nginx's includes for FastCGI, SCGI, uWSGI and gRPC from those for `proxy_pass`.

nginx has one module per protocol, each with a directive of its own for what an application
receives, so one list of names cannot serve them all. It is written once, for `proxy_pass`, and
translated: `fastcgi_param HTTP_X_AUTH_USER` (and `uwsgi_param`, `scgi_param`) hides every spelling
of that header, even if its value is empty; `grpc_set_header` works as `proxy_set_header` does.

https://nginx.org/en/docs/http/ngx_http_fastcgi_module.html#fastcgi_param
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.snippets.edit import DriftError, TextFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CGI_MODULES = ("fastcgi", "scgi", "uwsgi")
"""Their applications find the header `X-Auth-User` as `HTTP_X_AUTH_USER` (RFC 3875 section 4.1.18)."""
UPSTREAM_MODULES = (*CGI_MODULES, "grpc")
MAX_HEADER_NAME_LENGTH = 46
"""Characters. These modules keep names in a hash whose buckets of 64 bytes no directive widens."""
NOT_GRPC_INCLUDE = "not-grpc.conf"

_SOURCES = {
    "protect": "ask, then hand the identity to the application",
    "unprotected": "pass to an application without a check and without an identity",
    "app": "how any application is spoken to",
}
_DIRECTIVE = re.compile(r"(?P<name>[a-z_]+)\s+(?P<arguments>[^;#]+?)\s*;\s*(?P<note>#.*)?")
_EMPTY = '""'
# What frames an HTTP/1.1 connection; HTTP/2 has neither (RFC 9113 section 8.2.2), and nginx removes both.
_HTTP_1_HEADERS = frozenset({"connection", "upgrade"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """A directive of nginx's configuration; `comment` is the comment behind it."""

    name: str
    arguments: str
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.arguments};{f'  {self.comment}' if self.comment else ''}"


def is_derived(name: str) -> bool:
    """Whether an include of `authz/` is one of those that `derive_includes` returns."""
    endings = tuple(f"-{module}.conf" for module in UPSTREAM_MODULES)
    return name == NOT_GRPC_INCLUDE or name.endswith(endings)


def derive_includes(sources: Mapping[str, TextFile]) -> list[TextFile]:
    """Return the includes for FastCGI, SCGI, uWSGI and gRPC. `sources` are all other includes, by
    file name. Raises `DriftError` if a source has a line that no rule translates."""
    texts = [
        _to_file(
            f"{source}-{module}.conf",
            _header_comment(source, module),
            _derive_include(sources, source, module),
        )
        for module in UPSTREAM_MODULES
        for source in _SOURCES
    ]
    return [*texts, _to_file(NOT_GRPC_INCLUDE, _NOT_GRPC_COMMENT, _clear_for_not_grpc(sources))]


def with_upstream_modules(texts: list[TextFile]) -> tuple[list[TextFile], tuple[str, ...]]:
    """Return nginx's files with those for FastCGI, SCGI, uWSGI and gRPC, and notes for the
    operator. The files are left out where nginx would not start with them."""
    sources = {Path(text.name).name: text for text in texts}
    names = [
        *_header_names(sources["clear-identity.conf"]),
        *_header_names(sources["clear-client.conf"]),
    ]
    too_long = [name for name in names if len(name) > MAX_HEADER_NAME_LENGTH]
    if not too_long:
        return [*texts, *derive_includes(sources)], ()
    app = sources["app.conf"].without_lines(NOT_GRPC_INCLUDE)
    note = (
        f"`{too_long[0]}` has more than {MAX_HEADER_NAME_LENGTH} characters: nginx can clear it for `proxy_pass`,"
        " but not for `fastcgi_pass`, `uwsgi_pass`, `scgi_pass` and `grpc_pass`, so do not use these"
    )
    return [app if text.name == app.name else text for text in texts], (note,)


def write_derived_includes(directory: Path) -> None:
    """Write the derived includes beside their sources, which are the other files of `directory`."""
    paths = [path for path in directory.glob("*.conf") if not is_derived(path.name)]
    sources = {path.name: TextFile(path.name, path.read_text(encoding="utf-8")) for path in paths}
    for text in derive_includes(sources):
        (directory / Path(text.name).name).write_text(text.content, encoding="utf-8")


_NOT_GRPC_COMMENT = (
    "# location level, where the application is not reached by `grpc_pass`. Should it be, it is told of",
    "# nobody. There is no `grpc_pass_request_headers off`, so its other headers are the client's.",
)


def _header_comment(source: str, module: str) -> tuple[str, ...]:
    comment = (
        f"# location level, for `{module}_pass`: {_SOURCES[source]}.",
        f"# Derived from {source}.conf.",
    )
    if source == "app" or module not in CGI_MODULES:
        return comment
    return (
        *comment,
        f"# Include it below `{module}_params`: of a parameter that comes twice, the last counts.",
    )


def _derive_include(
    sources: Mapping[str, TextFile], source: str, module: str
) -> Iterator[Directive]:
    yield from _translate_source(sources, source, module)
    if source == "app":
        yield from _pass_request_headers(module)
    elif module in CGI_MODULES:
        yield _remote_user(sources[f"{source}.conf"], module)


def _translate_source(
    sources: Mapping[str, TextFile], source: str, module: str
) -> Iterator[Directive]:
    for directive in _parse_directives(sources[f"{source}.conf"]):
        match directive.name:
            case "proxy_set_header":
                yield from _translate_header(directive, module)
            case "proxy_intercept_errors":
                name = f"{module}_intercept_errors"
                yield Directive(name=name, arguments=directive.arguments, comment=directive.comment)
            case "include":
                yield from _translate_include(
                    sources, directive.arguments.removeprefix("authz/"), module
                )
            case "proxy_http_version":
                pass
            case name if name.endswith("_pass_request_headers"):
                pass  # each module says this in its own way
            case name:
                raise DriftError(f"{source}.conf: no rule translates `{name}`")


def _translate_include(
    sources: Mapping[str, TextFile], file: str, module: str
) -> Iterator[Directive]:
    match file:
        case "ask.conf":
            yield Directive(name="include", arguments="authz/ask.conf")
        case "app.conf":
            yield Directive(name="include", arguments=f"authz/app-{module}.conf")
        case "clear-identity.conf":
            yield from _translate_source(sources, "clear-identity", module)
        case "clear-client.conf":
            yield from _translate_source(sources, "clear-client", module)
            if "Proxy" not in _header_names(sources[file]):
                # Many programs take HTTP_PROXY for a setting of their own (https://httpoxy.org).
                proxy = Directive(name="proxy_set_header", arguments=f"Proxy {_EMPTY}")
                yield from _translate_header(proxy, module)
        case _ if file == NOT_GRPC_INCLUDE:
            pass
        case _:
            raise DriftError(f"no rule translates the include of `{file}`")


def _translate_header(directive: Directive, module: str) -> Iterator[Directive]:
    header, _, value = directive.arguments.partition(" ")
    value = value.strip()
    if module not in CGI_MODULES:
        if header.lower() not in _HTTP_1_HEADERS:
            name, arguments = f"{module}_set_header", f"{header} {value}"
            yield Directive(name=name, arguments=arguments, comment=directive.comment)
    elif header.lower() != "host":  # the client's, or what `fastcgi_params` makes of it
        variable = f"HTTP_{header.upper().replace('-', '_')}"
        # A literal without content is not sent; what may turn out empty is not to be sent either.
        condition = "" if value == _EMPTY else " if_not_empty"
        name, arguments = f"{module}_param", f"{variable} {value}{condition}"
        yield Directive(name=name, arguments=arguments, comment=directive.comment)


def _remote_user(text: TextFile, module: str) -> Directive:
    """The user that the first identity header names (RFC 3875 section 4.1.11), empty for an
    anonymous client. Some `fastcgi_params` (Debian's) set it to the name that the client claims in
    `Authorization`."""
    match = re.search(r"^proxy_set_header +\S+ +(\$authz_\w+)", text.content, re.MULTILINE)
    value = _EMPTY if match is None else match[1]
    return Directive(name=f"{module}_param", arguments=f"REMOTE_USER {value}")


def _pass_request_headers(module: str) -> Iterator[Directive]:
    """Below any other `*_pass`, the application gets no header of the client's."""
    for name in ("proxy", *CGI_MODULES):
        value = "on" if name == module else "off"
        yield Directive(name=f"{name}_pass_request_headers", arguments=value)
    if module != "grpc":
        yield Directive(name="include", arguments=f"authz/{NOT_GRPC_INCLUDE}")


def _clear_for_not_grpc(sources: Mapping[str, TextFile]) -> Iterator[Directive]:
    """The identity and the session. Not all that is cleared elsewhere: nginx warns at its start of
    a list that is too long for its hash, and this one is in every location for `proxy_pass`."""
    for header in (*_header_names(sources["clear-identity.conf"]), "Cookie"):
        yield Directive(name="grpc_set_header", arguments=f"{header} {_EMPTY}")


def _header_names(text: TextFile) -> tuple[str, ...]:
    return tuple(
        directive.arguments.split()[0]
        for directive in _parse_directives(text)
        if directive.name == "proxy_set_header"
    )


def _parse_directives(text: TextFile) -> Iterator[Directive]:
    for line in text.content.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None:
            raise DriftError(f"{text.name}: `{line.strip()}` is not one directive")
        yield Directive(
            name=match["name"], arguments=match["arguments"], comment=match["note"] or ""
        )


def _to_file(name: str, head: tuple[str, ...], directives: Iterable[Directive]) -> TextFile:
    lines = (*head, "", *directives)
    return TextFile(f"authz/{name}", "".join(f"{line}\n" for line in lines))
