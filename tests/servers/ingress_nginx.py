"""nginx as the controller of ingress-nginx configures it, for the manifests of `snippet ingress-nginx`.

The manifests are taken as they are printed; only the sidecar's Service is where it listens in this run.
What the controller makes of them is written here as its template has it
(https://github.com/kubernetes/ingress-nginx/blob/main/rootfs/etc/nginx/template/nginx.tmpl, as of its
last releases): the locations, every `proxy_set_header` and `auth_request` line with its variables, the
default buffers. Its Lua, which finds endpoints, is a `proxy_pass`; the redirect to https that it makes
is a `return`; `$escaped_request_uri`, which takes a module that nginx does not come with, is not escaped.
"""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.snippets import DeploymentFacts as SnippetFacts
from authz_sidecar.snippets import render_snippet
from authz_sidecar.snippets.edit import EXAMPLE_HEADERS
from authz_sidecar.snippets.facts import ForwardedCertificate
from tests.servers.nginx import LOCAL, Nginx
from tests.servers.proxy import APP_HOST, AUTH_HOST, OPEN_HOST, Facts, Places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.servers.sidecar import Listener
    from tests.servers.wire import Message

PROTECTED = (APP_HOST, "*.apps.example.com")
PREFIX = "nginx.ingress.kubernetes.io/"


@dataclass(frozen=True, kw_only=True)
class IngressNginx:
    """`annotations` replace those of the snippet, by their name without the prefix. With `authority`,
    that of clients, `APP_HOST` has `auth-tls-secret`; the other hosts have not."""

    name: str = "ingress-nginx"
    outage_status: int = 500
    annotations: tuple[tuple[str, str], ...] = ()
    authority: Path | None = None

    def binary(self) -> str | None:
        return Nginx().binary()

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        (places.directory / "tmp").mkdir()
        text = _configuration(self, places)
        (places.directory / "nginx.conf").write_text(text)
        main = f"daemon off; pid {places.directory}/nginx.pid; error_log stderr warn;"
        if os.geteuid() == 0:
            main += f" user {getpass.getuser()};"
        return (binary, "-p", str(places.directory), "-e", "stderr", "-c", "nginx.conf", "-g", main)

    def facts(self, asked: Message) -> Facts:
        scheme, _, rest = (asked.one("x-original-url") or "").partition("://")
        host, slash, target = rest.partition("/")
        method = asked.one("x-original-method") or ""
        return Facts(method=method, scheme=scheme, host=host, target=f"{slash}{target}")


def _manifests(places: Places, *, certificate: bool) -> dict[str, Any]:
    """What the snippet prints, by the names of its files."""
    facts = SnippetFacts(
        check=TcpAddress(*places.check),
        web=TcpAddress(*places.web),
        base_path="/.auth",
        hosts=PROTECTED,
        auth_host=AUTH_HOST,
        headers=EXAMPLE_HEADERS,
        cookies=(),
        certificate=ForwardedCertificate(header="X-Client-Cert", format="nginx")
        if certificate
        else None,
    )
    files = render_snippet("ingress-nginx", facts).files
    return {name: parse_yaml(text, file=name).data for name, text in files.items()}


def _configuration(proxy: IngressNginx, places: Places) -> str:
    printed = _manifests(places, certificate=proxy.authority is not None)
    annotations = {
        name.removeprefix(PREFIX): value
        for name, value in printed["annotations.yaml"]["metadata"]["annotations"].items()
    } | dict(proxy.annotations)
    service = urlsplit(annotations["auth-url"]).netloc
    annotations["auth-url"] = annotations["auth-url"].replace(service, str(places.check))
    cleared = printed["clear-headers.yaml"]["data"]
    pages = printed["pages.yaml"]
    buffer = pages["metadata"]["annotations"][f"{PREFIX}proxy-buffer-size"]
    servers = []
    for rule in pages["spec"]["rules"]:
        locations = [
            _location(path, places.web, buffer=buffer, cleared=cleared)
            for page in rule["http"]["paths"]
            for path in _paths(page)
        ]
        authority = proxy.authority if rule["host"] == APP_HOST else None
        if rule["host"] in PROTECTED:
            told = "" if authority is None else _CERTIFICATE
            locations.append(_asking(annotations, told))
            locations.append(_protected(annotations, places.app, told, cleared=cleared))
        servers.append(_server(rule["host"], places, _authority(authority), locations))
    open_location = _location("/", places.app, buffer="4k", cleared=cleared)
    servers.append(_server(OPEN_HOST, places, "", [open_location]))
    return f"""
events {{ worker_connections 1024; }}
http {{
{LOCAL}
    client_header_buffer_size 1k;
    large_client_header_buffers 4 8k;
    underscores_in_headers off;
    ignore_invalid_headers on;
    proxy_headers_hash_max_size 512;
    proxy_headers_hash_bucket_size 64;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    map $http_x_request_id $req_id {{ default $http_x_request_id; '' $request_id; }}
    ssl_certificate {places.certificate.chain};
    ssl_certificate_key {places.certificate.key};
    server {{
        listen 127.0.0.1:{places.http} default_server;
        listen 127.0.0.1:{places.https} ssl http2 default_server;
        server_name _;
        location / {{ return 404; }}
    }}
{"".join(servers)}
}}
"""


_CERTIFICATE = """
            proxy_set_header ssl-client-verify $ssl_client_verify;
            proxy_set_header ssl-client-subject-dn $ssl_client_s_dn;
            proxy_set_header ssl-client-issuer-dn $ssl_client_i_dn;"""


def _authority(authority: Path | None) -> str:
    if authority is None:
        return ""
    return f"""
        ssl_client_certificate {authority};
        ssl_verify_client optional;
        ssl_verify_depth 1;"""


def _server(name: str, places: Places, more: str, locations: list[str]) -> str:
    return f"""
    server {{
        server_name {name};
        listen 127.0.0.1:{places.http};
        listen 127.0.0.1:{places.https} ssl http2;
        if ($scheme = http) {{ return 308 https://$host$request_uri; }}{more}
{"".join(locations)}
    }}
"""


def _paths(page: Mapping[str, Any]) -> Iterator[str]:
    """As the controller makes locations of a path: `ApiTokenPrefix` counts whole segments."""
    if page["pathType"] == "Prefix" and page["path"] != "/":
        yield f"{page['path']}/"
        yield f"= {page['path']}"
    else:
        yield f"= {page['path']}" if page["pathType"] == "Exact" else page["path"]


def _buffers(size: str) -> str:
    return f"""
            proxy_buffering off;
            proxy_buffer_size {size};
            proxy_buffers 4 {size};
            proxy_request_buffering on;"""


def _asking(annotations: Mapping[str, str], certificate: str) -> str:
    """The internal location of `auth-url`. All of the client's headers that are not named here pass."""
    host = urlsplit(annotations["auth-url"]).hostname
    return f"""
        location = /_external-auth-Lw-Prefix {{
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Forwarded-Proto "";
            proxy_set_header X-Request-ID $req_id;
            proxy_set_header Host {host};
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Sent-From "nginx-ingress-controller";
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Auth-Request-Redirect $request_uri;{_buffers(_size(annotations))}
            proxy_ssl_server_name on;
            proxy_pass_request_headers on;
            client_max_body_size 1m;{certificate}
            proxy_http_version 1.1;
            set $target "{annotations["auth-url"]}";
            proxy_pass $target;
        }}
        location @signin {{
            internal;
            add_header Set-Cookie $auth_cookie;
            return 302 {_signin(annotations)};
        }}
"""


def _signin(annotations: Mapping[str, str]) -> str:
    url, parameter = annotations["auth-signin"], annotations["auth-signin-redirect-param"]
    return f'"{url}?{parameter}=$pass_access_scheme://$http_host$escaped_request_uri"'


def _size(annotations: Mapping[str, str]) -> str:
    return annotations.get("proxy-buffer-size", "4k")


def _protected(
    annotations: Mapping[str, str], app: Listener, certificate: str, *, cleared: Mapping[str, str]
) -> str:
    listed = annotations["auth-response-headers"].split(",")
    told = "".join(
        f"""
            auth_request_set $authHeader{at} $upstream_http_{header.lower().replace("-", "_")};
            proxy_set_header '{header}' $authHeader{at};"""
        for at, header in enumerate(listed)
    )
    always = " always" if annotations.get("auth-always-set-cookie") == "true" else ""
    asks = f"""
            auth_request /_external-auth-Lw-Prefix;
            auth_request_set $auth_cookie $upstream_http_set_cookie;
            add_header Set-Cookie $auth_cookie{always};{told}
            set $escaped_request_uri $request_uri;
            error_page 401 = @signin;{certificate}"""
    return _location("/", app, buffer=_size(annotations), cleared=cleared, asks=asks)


def _location(
    path: str, service: Listener, *, buffer: str, cleared: Mapping[str, str], asks: str = ""
) -> str:
    custom = "".join(
        f"""
            proxy_set_header {name} "{value}";"""
        for name, value in cleared.items()
    )
    return f"""
        location {path} {{
            set $pass_access_scheme $scheme;
            set $best_http_host $http_host;
            set $pass_port $server_port;{asks}
            client_max_body_size 1m;
            proxy_set_header Host $best_http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Request-ID $req_id;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $best_http_host;
            proxy_set_header X-Forwarded-Port $pass_port;
            proxy_set_header X-Forwarded-Proto $pass_access_scheme;
            proxy_set_header X-Forwarded-Scheme $pass_access_scheme;
            proxy_set_header X-Scheme $pass_access_scheme;
            proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
            proxy_set_header Proxy "";{custom}
            proxy_connect_timeout 5s;
            proxy_send_timeout 60s;
            proxy_read_timeout 60s;{_buffers(buffer)}
            proxy_http_version 1.1;
            proxy_cookie_domain off;
            proxy_cookie_path off;
            proxy_next_upstream error timeout;
            proxy_next_upstream_timeout 0;
            proxy_next_upstream_tries 3;
            proxy_pass http://{service};
            proxy_redirect off;
        }}
"""
