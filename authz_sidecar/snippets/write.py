"""Writes each proxy's files of `deploy/` with the facts of one configuration in place of the
example's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.config.value_parsers import ListenAddress, TcpAddress
from authz_sidecar.snippets.certificates import forward_certificate
from authz_sidecar.snippets.edit import EXAMPLE_HEADERS, TextFile, variable_name
from authz_sidecar.snippets.facts import DeploymentFacts, SnippetError
from authz_sidecar.snippets.ingress import RETIREMENT_NOTE, render_ingress_nginx
from authz_sidecar.snippets.removals import with_removals, without_listed, without_removed
from authz_sidecar.snippets.upstream_modules import is_derived, with_upstream_modules

if TYPE_CHECKING:
    from collections.abc import Callable

_HOSTS = ("app.example.com", "*.apps.example.com")
_AUTH_HOST = "auth.example.com"
_OPEN_HOST = "open.example.com"


@dataclass(frozen=True, slots=True)
class Snippet:
    """The files of a proxy by name; `notes` are what the operator has to do."""

    files: dict[str, str]
    notes: tuple[str, ...] = ()


def render_snippet(proxy: str, facts: DeploymentFacts) -> Snippet:
    """Return the proxy's files for a configuration. Raises `SnippetError` for what the proxy cannot
    do."""
    texts, notes = PROXIES[proxy](facts), (*_NOTES.get(proxy, ()), *facts.notes)
    if facts.certificate is not None:
        texts, note = forward_certificate(proxy, texts, facts.certificate)
        notes = (*notes, note)
    if proxy == "nginx":
        texts, module_notes = with_upstream_modules(texts)
        notes = (*notes, *module_notes)
    return Snippet({text.name: text.content for text in texts}, notes)


def deploy_directory() -> Path:
    """Return the directory `deploy/` of the installed package or the clone. Raises `SnippetError`
    if there is none."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "deploy", package.parent / "deploy"):
        if candidate.is_dir():
            return candidate
    raise SnippetError("the directory `deploy/` with the proxies' configurations is missing")


def _read(proxy: str, name: str) -> TextFile:
    return TextFile(name, (deploy_directory() / proxy / name).read_text(encoding="utf-8"))


def _require_tcp(address: ListenAddress, *, proxy: str, setting: str) -> TcpAddress:
    if not isinstance(address, TcpAddress):
        raise SnippetError(f"{proxy} cannot connect to a Unix socket: give `{setting}` a port")
    return address


def _nginx(facts: DeploymentFacts) -> list[TextFile]:
    directory = deploy_directory() / "nginx" / "authz"
    includes = {
        path.name: _read("nginx", f"authz/{path.name}")
        for path in directory.glob("*.conf")
        if not is_derived(path.name)
    }
    # `*.` covers any depth in nginx; the sidecar refuses what is deeper than it should be.
    hosts = " ".join(_with_single_star(facts.hosts))
    server_names = " ".join([hosts, *([facts.auth_host] if facts.auth_host else [])])
    main = (
        _read("nginx", "nginx.conf")
        .without_block(f"server_name {_OPEN_HOST};", inside=True)
        .replace(" ".join([*_HOSTS, _AUTH_HOST, _OPEN_HOST]), server_names)
    )
    if facts.auth_host is None:
        main = main.without_block(f"server_name {_AUTH_HOST};", inside=True)
    else:
        main = main.replace(f"server_name {_AUTH_HOST};", f"server_name {facts.auth_host};")
    main = main.replace(f"server_name {' '.join(_HOSTS)};", f"server_name {hosts};")
    includes["http.conf"] = (
        includes["http.conf"]
        .replace("127.0.0.1:9180", str(facts.check))
        .replace("127.0.0.1:9181", str(facts.web))
    )
    includes["sidecar.conf"] = includes["sidecar.conf"].replace("/.auth/", f"{facts.base_path}/")
    for name in ("ask.conf", "clear-identity.conf", "protect.conf"):
        includes[name] = includes[name].with_headers(facts.headers)
    includes["clear-client.conf"] = with_removals(
        includes["clear-client.conf"], facts.headers, lambda name: f'proxy_set_header {name} "";'
    )
    if not facts.strip_cookie:
        for name in ("ask.conf", "protect.conf"):
            includes[name] = includes[name].without_lines("$authz_cookie")
    if facts.nginx_cache:
        main = main.replace(*_uncomment_include("authz/cache-zone.conf"))
        includes["sidecar.conf"] = includes["sidecar.conf"].replace(
            *_uncomment_include("authz/cache.conf")
        )
    else:
        for name in ("cache.conf", "cache-zone.conf"):
            del includes[name]
        main = main.without_lines("authz/cache-zone.conf")
        includes["sidecar.conf"] = includes["sidecar.conf"].without_lines("authz/cache.conf")
    return [main, *(includes[name] for name in sorted(includes))]


def _uncomment_include(name: str) -> tuple[str, str]:
    return f"# include {name};", f"include {name};"


def _ingress_nginx(facts: DeploymentFacts) -> list[TextFile]:
    return render_ingress_nginx(facts, nginx_removals=_read("nginx", "authz/clear-client.conf"))


def _with_single_star(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(host.replace("**.", "*.") for host in hosts)


def _host_regex(host: str) -> str:
    """A regular expression for a host name, without anchors."""
    if host.startswith("**."):
        return f"([a-z0-9-]+[.])+{_host_regex(host.removeprefix('**.'))}"
    if host.startswith("*."):
        return f"[a-z0-9-]+[.]{_host_regex(host.removeprefix('*.'))}"
    return host.replace(".", "[.]")


def _traefik(facts: DeploymentFacts) -> list[TextFile]:
    check = _require_tcp(facts.check, proxy="traefik", setting="server.listen")
    web = _require_tcp(facts.web, proxy="traefik", setting="server.web_listen")
    text = (
        _read("traefik", "dynamic.yml")
        .insert_after_line(
            ' Proxy: ""', *(f'{header}: ""' for header in without_listed(facts.headers))
        )
        .replace(", ".join(EXAMPLE_HEADERS), ", ".join(facts.headers))
        .replace("[__Host-authz]", f"[{', '.join(facts.cookies)}]")
        .replace("http://127.0.0.1:9180/", f"http://{check}/")
        .replace('"http://127.0.0.1:9181"', f'"http://{web}"')
        .replace(_traefik_rule(_HOSTS), _traefik_rule(facts.hosts))
        .replace("PathPrefix(`/.auth/`)", f"PathPrefix(`{facts.base_path}/`)")
        .without_block("    open:")
    )
    if facts.auth_host is None:
        text = text.without_block("    authz-host:")
    else:
        text = text.replace(f"Host(`{_AUTH_HOST}`)", f"Host(`{facts.auth_host}`)")
    if not facts.strip_cookie:
        text = text.replace(", Cookie]", "]")
    return [_read("traefik", "traefik.yml"), text]


def _traefik_rule(hosts: tuple[str, ...]) -> str:
    return " || ".join(
        f"HostRegexp(`^{_host_regex(host)}$`)" if host.startswith("*") else f"Host(`{host}`)"
        for host in hosts
    )


def _envoy(facts: DeploymentFacts) -> list[TextFile]:
    hosts = _with_single_star(facts.hosts)
    auth_hosts = () if facts.auth_host is None else (facts.auth_host,)
    text = (
        _read("envoy", "envoy.yaml")
        .with_headers(facts.headers)
        .insert_after_line("- remove: proxy", *_envoy_removals(facts.headers))
        .replace(_envoy_socket("127.0.0.1", 9180), _envoy_address(facts.check))
        .replace(_envoy_socket("127.0.0.1", 9181), _envoy_address(facts.web))
        .replace('"http://127.0.0.1:9180"', f'"{_envoy_uri(facts.check)}"')
        .replace(_envoy_list((*_HOSTS, _AUTH_HOST, _OPEN_HOST)), _envoy_list((*hosts, *auth_hosts)))
        .replace(_envoy_domains(_HOSTS), _envoy_domains(hosts))
        .replace("prefix: /.auth/ ", f"prefix: {facts.base_path}/ ")
        .without_block("- name: open")
    )
    if facts.auth_host is None:
        text = text.without_block("- name: auth\n")
    else:
        text = text.replace(_envoy_domains((_AUTH_HOST,)), _envoy_domains(auth_hosts))
    if not facts.strip_cookie:
        upstream, cookie = "{ exact: x-auth-", "{ exact: cookie, ignore_case: true }"
        before, _, after = text.content.rpartition(cookie)
        if upstream not in before:
            raise SnippetError("deploy/envoy/envoy.yaml has no list of upstream headers")
        text = TextFile(text.name, before.rstrip(" -\n") + after)
    return [text]


def _envoy_removals(headers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"- remove: {header.lower()}" for header in without_removed(headers))


def _envoy_socket(host: str, port: int) -> str:
    return f"socket_address: {{ address: {host}, port_value: {port} }}"


def _envoy_address(address: ListenAddress) -> str:
    if isinstance(address, TcpAddress):
        host = f'"{address.host}"' if ":" in address.host else address.host
        return _envoy_socket(host, address.port)
    return f"pipe: {{ path: {address.path} }}"


def _envoy_uri(address: ListenAddress) -> str:
    return f"http://{address}" if isinstance(address, TcpAddress) else "http://authz-check"


def _envoy_list(names: tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"[{quoted}]"


def _envoy_domains(hosts: tuple[str, ...]) -> str:
    return _envoy_list(tuple(name for host in hosts for name in (host, f"{host}:*")))


def _caddy(facts: DeploymentFacts) -> list[TextFile]:
    text = (
        _read("caddy", "Caddyfile")
        .with_headers(facts.headers)
        .insert_after_line(
            "request_header -Proxy\n",
            *(f"request_header -{header}" for header in without_removed(facts.headers)),
        )
        .replace("127.0.0.1:9180", _caddy_address(facts.check))
        .replace("127.0.0.1:9181", _caddy_address(facts.web))
        .replace("path /.auth/* ", f"path {facts.base_path}/* ")
        .replace(f"{', '.join(_HOSTS)} {{", f"{', '.join(_with_single_star(facts.hosts))} {{")
        .without_block(f"{_OPEN_HOST} {{")
    )
    if facts.auth_host is None:
        text = text.without_block(f"{_AUTH_HOST} {{")
    else:
        text = text.replace(f"{_AUTH_HOST} {{", f"{facts.auth_host} {{")
    if not facts.strip_cookie:
        text = text.without_lines("@cookie ", "request_header -Cookie", "# The client's cookies")
    return [text]


def _caddy_address(address: ListenAddress) -> str:
    return str(address) if isinstance(address, TcpAddress) else f"unix/{address.path}"


def _haproxy(facts: DeploymentFacts) -> list[TextFile]:
    check = _require_tcp(facts.check, proxy="haproxy", setting="server.listen")
    hosts = "|".join(map(_host_regex, facts.hosts))
    config = (
        _read("haproxy", "haproxy.cfg")
        .with_headers(facts.headers)
        .insert_after_line(
            "del-header Proxy\n",
            *(f"http-request del-header {header}" for header in without_removed(facts.headers)),
        )
        .replace("http://127.0.0.1:9180/", f"http://{check}/")
        .replace("127.0.0.1:9181", _haproxy_address(facts.web))
        .replace(f"^({'|'.join(map(_host_regex, _HOSTS))})", f"^({hosts})")
        .replace("path_beg /.auth/", f"path_beg {facts.base_path}/")
        .without_lines("acl open ")
        .replace(" || open", "")
    )
    if facts.auth_host is None:
        config = (
            config.without_lines("acl auth_host ")
            .replace("protected || auth_host", "protected")
            .replace("auth_host || protected pages", "protected pages")
        )
    else:
        config = config.replace(_host_regex(_AUTH_HOST), _host_regex(facts.auth_host))
    lua = _read("haproxy", "authz.lua").replace(
        _lua_rows(EXAMPLE_HEADERS), _lua_rows(facts.headers)
    )
    if not facts.strip_cookie:
        config = config.without_lines("Cookie if protected", "txn.authz_cookie")
        lua = lua.replace('authz_cookie = "cookie", ', "")
    return [config, lua]


def _haproxy_address(address: ListenAddress) -> str:
    return str(address) if isinstance(address, TcpAddress) else f"unix@{address.path}"


def _lua_rows(headers: tuple[str, ...]) -> str:
    cells = [f'authz_{variable_name(header)} = "{header.lower()}"' for header in headers]
    rows = [", ".join(cells[start : start + 3]) for start in range(0, len(cells), 3)]
    return ",\n  ".join(rows) + ","


_NOTES = {
    "ingress-nginx": (RETIREMENT_NOTE,),
    "haproxy": (
        (
            "before HAProxy 3.2 a request with a body needs a `Content-Length`: its trailers could"
            " not be dropped"
        ),
    ),
}

PROXIES: dict[str, Callable[[DeploymentFacts], list[TextFile]]] = {
    "nginx": _nginx,
    "ingress-nginx": _ingress_nginx,
    "traefik": _traefik,
    "envoy": _envoy,
    "caddy": _caddy,
    "haproxy": _haproxy,
}
