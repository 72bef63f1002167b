"""The snippets of the documented example are the files of `deploy/`; others are what it says."""

from __future__ import annotations

import difflib
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from authz_sidecar.config.load import load_config
from authz_sidecar.config.schema import Config
from authz_sidecar.config.value_parsers import TcpAddress, UnixAddress
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.urls import Origin
from authz_sidecar.sessions.cookie import SessionCookies
from authz_sidecar.snippets import (
    PROXIES,
    DeploymentFacts,
    SnippetError,
    deployment_facts,
    render_snippet,
)
from authz_sidecar.snippets.edit import EXAMPLE_HEADERS
from authz_sidecar.snippets.facts import ForwardedCertificate as Forwarded
from authz_sidecar.snippets.write import Snippet, deploy_directory
from tests.servers.caddy import Caddy
from tests.servers.certificate import Certificate, make_certificate
from tests.servers.envoy import Envoy
from tests.servers.haproxy import HAProxy
from tests.servers.nginx import Nginx
from tests.servers.sidecar import free_ports

DEPLOY = deploy_directory()
PLAIN = tuple(proxy for proxy in PROXIES if proxy != "ingress-nginx")

MINE = DeploymentFacts(
    check=TcpAddress("127.0.0.1", 7180),
    web=TcpAddress("127.0.0.1", 7181),
    base_path="/_auth",
    hosts=("wiki.example.org", "*.a.example.org", "**.b.example.org"),
    auth_host=None,
    headers=("X-Auth-User", "X-Department", "X-Auth-Reason"),
    cookies=("__Host-authz", "__Host-authz-guests"),
)


@pytest.fixture(scope="module")
def example() -> DeploymentFacts:
    env = {"AUTHZ_SECRET_KEY": "Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e", "OIDC_CLIENT_SECRET": "x"}
    config = load_config(DEPLOY / "authz-sidecar.example.yaml", env=env)
    return deployment_facts(config, headers=EXAMPLE_HEADERS)


@pytest.mark.parametrize("proxy", PLAIN)
def test_the_example_gives_the_files_of_deploy(example: DeploymentFacts, proxy: str) -> None:
    """All but the host that is not asked about, which no configuration of ours knows of."""
    for name, text in render_snippet(proxy, example).files.items():
        original = (DEPLOY / proxy / name).read_text(encoding="utf-8")
        without = original.replace(" open.example.com;", ";").replace(', "open.example.com"]', "]")
        without = without.replace(" || open\n", "\n")
        changes = [
            line
            for line in difflib.ndiff(without.splitlines(), text.splitlines())
            if line[0] in "+-"
        ]
        assert not [line for line in changes if line[0] == "+"]
        assert len(changes) <= 14
        assert "open.example.com" not in text


@pytest.mark.parametrize("domain", [None, "example.org"])
@pytest.mark.parametrize("default", ["corp", None])
def test_cookies_are_named_as_they_are_set(domain: str | None, default: str | None) -> None:
    provider = {"issuer": "https://idp.example.org", "client_id": "authz"}
    config = Config.model_validate(
        {
            "secret_keys": ["x" * 32],
            "sessions": {"store": "memory://", "cookie": {"domain": domain} if domain else {}},
            "identity_providers": {"corp": provider, "guests": provider},
            "default_identity_provider": default,
            "routes": [{"from": "https://a.example.org", "identity_provider": ["corp", "guests"]}],
        }
        if default
        else {
            "secret_keys": ["x" * 32],
            "sessions": {"store": "memory://", "cookie": {"domain": domain} if domain else {}},
            "identity_providers": {"corp": provider},
            "routes": [{"from": "https://a.example.org"}],
        }
    )
    cookies = SessionCookies(
        name="authz",
        same_site="lax",
        domain=domain,
        providers=tuple(config.identity_providers),
        default_provider=default,
    )
    origin = Origin("https", "a.example.org")
    expected = tuple(cookies.name_for(name, origin) for name in config.identity_providers)
    assert deployment_facts(config, headers=EXAMPLE_HEADERS).cookies == expected


@pytest.mark.parametrize("proxy", PLAIN)
def test_nothing_of_the_example_remains(proxy: str) -> None:
    lines = "\n".join(render_snippet(proxy, MINE).files.values()).splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith(("#", "--")))
    for gone in ("app.example.com", "auth.example.com", "9180", "9181", "authz_groups", "/.auth"):
        assert gone.lower() not in text.lower()
    # What is not set any more is still removed, by its name or with its family.
    set_from_the_answer = [line for line in lines if "X-Auth-Groups" in line and '""' not in line]
    assert not set_from_the_answer
    for there in ("wiki", "7180", "7181", "department", "/_auth/"):
        assert there in text.lower()


@pytest.mark.parametrize("proxy", PLAIN)
def test_every_header_is_cleared_and_set(proxy: str) -> None:
    text = " ".join("\n".join(render_snippet(proxy, MINE).files.values()).lower().split())
    cleared = {
        "nginx": 'proxy_set_header x-department "";',
        "traefik": 'x-department: ""',
        "envoy": "- remove: x-department",
        "caddy": "request_header -x-department",
        "haproxy": "http-request del-header x-department",
    }
    set_from_the_answer = {
        "nginx": "proxy_set_header x-department $authz_x_department;",
        "traefik": "authresponseheaders: [x-auth-user, x-department, x-auth-reason, cookie]",
        "envoy": "{ exact: x-department, ignore_case: true }",
        "caddy": "request_header @x_department x-department",
        "haproxy": "http-request set-header x-department %[var(txn.authz_x_department)]",
    }
    assert cleared[proxy] in text
    assert set_from_the_answer[proxy] in text


@pytest.mark.parametrize("proxy", PLAIN)
def test_cookies_stay_where_the_operator_wants_them(proxy: str) -> None:
    text = "\n".join(render_snippet(proxy, replace(MINE, strip_cookie=False)).files.values())
    handed_back = {
        "nginx": "authz_cookie",
        "traefik": "Cookie]",
        "envoy": "x-auth-user, ignore_case: true }\n                    - { exact: cookie",
        "caddy": "request_header -Cookie",
        "haproxy": "authz_cookie",
    }
    assert (
        handed_back[proxy] in "\n".join(render_snippet(proxy, MINE).files.values())
        or proxy == "envoy"
    )
    assert handed_back[proxy] not in text


def test_nginx_repeats_answers_where_the_sidecar_lets_it() -> None:
    def lines(snippet: Snippet) -> set[str]:
        text = "\n".join(snippet.files.values())
        return {line.partition(";")[0].strip() for line in text.splitlines()}

    cache = {"include authz/cache.conf", "include authz/cache-zone.conf", "proxy_cache authz"}
    assert cache <= lines(render_snippet("nginx", replace(MINE, nginx_cache=True)))
    assert "cache" not in " ".join(render_snippet("nginx", MINE).files)
    assert not cache & lines(render_snippet("nginx", MINE))


@pytest.mark.parametrize("proxy", ["traefik", "haproxy", "ingress-nginx"])
def test_no_unix_socket_where_the_proxy_cannot(proxy: str) -> None:
    with pytest.raises(SnippetError, match="cannot connect to a Unix socket"):
        render_snippet(proxy, replace(MINE, check=UnixAddress("/run/check.sock")))


def test_yaml_is_yaml() -> None:
    for proxy in ("traefik", "envoy", "ingress-nginx"):
        for name, text in render_snippet(proxy, MINE).files.items():
            assert parse_yaml(text, file=name).problems == ()


def test_ingress_annotations_name_every_header() -> None:
    text = render_snippet("ingress-nginx", MINE).files["annotations.yaml"]
    assert '"X-Auth-User,X-Department,X-Auth-Reason,Cookie"' in text
    assert ':7180/auth/ingress-nginx?host=$host&upgrade=$http_upgrade"' in text
    assert 'proxy-buffer-size: "16k"' in text


def test_ingress_nginx_clears_what_nginx_clears_and_every_identity_header() -> None:
    snippet = render_snippet("ingress-nginx", MINE)
    document = parse_yaml(snippet.files["clear-headers.yaml"], file="clear-headers.yaml").data
    assert isinstance(document, dict)
    cleared = document["data"]
    assert set(cleared.values()) == {""}
    of_nginx = (DEPLOY / "nginx" / "authz" / "clear-client.conf").read_text()
    named = {line.split()[1] for line in of_nginx.splitlines() if line.startswith("proxy_set_h")}
    assert named
    assert named | set(MINE.headers) | {"ssl-client-cert", "ssl-client-verify"} <= set(cleared)


def test_ingress_nginx_is_said_to_be_retired() -> None:
    assert any("retired" in note for note in render_snippet("ingress-nginx", MINE).notes)
    assert not any(
        "retired" in note for proxy in PLAIN for note in render_snippet(proxy, MINE).notes
    )


def test_every_page_beside_the_prefix_has_an_ingress_rule() -> None:
    text = render_snippet("ingress-nginx", MINE).files["pages.yaml"]
    beside = (
        "/.well-known/pomerium/jwks.json",
        "/.well-known/oauth-protected-resource",
        "/robots.txt",
    )
    hosts = text.count("- host:")
    assert hosts
    assert [text.count(f"{{path: {path}, ") for path in beside] == [hosts] * 3


FORWARDED = {
    "nginx": Forwarded(header="X-Client-Cert", format="nginx"),
    "ingress-nginx": Forwarded(header="X-Client-Cert", format="nginx"),
    "traefik": Forwarded(header="X-Forwarded-Tls-Client-Cert", format="traefik"),
    "envoy": Forwarded(header="X-Forwarded-Client-Cert", format="xfcc"),
    "caddy": Forwarded(header="X-Client-Cert", format="traefik"),
    "haproxy": Forwarded(header="X-Client-Cert", format="traefik"),
}


@pytest.mark.parametrize("proxy", PROXIES)
def test_certificates_are_forwarded_where_they_are_wanted(proxy: str) -> None:
    snippet = render_snippet(proxy, replace(MINE, certificate=FORWARDED[proxy]))
    text = "\n".join(snippet.files.values())
    forwarded = {
        "nginx": 'X-Client-Cert "$ssl_client_verify $ssl_client_escaped_cert";',
        "ingress-nginx": "&certificate=$ssl_client_verify,$ssl_client_escaped_cert",
        "traefik": "middlewares: [authz-certificate, authz]",
        "envoy": "forward_client_cert_details: SANITIZE_SET",
        "caddy": "header_up X-Client-Cert {http.request.tls.client.certificate_der_base64}",
        "haproxy": 'headers["x-client-cert"] = { txn.c:base64(txn.sf:ssl_c_der()) }',
    }
    cleared = {
        "nginx": 'proxy_set_header X-Client-Cert "";',
        "caddy": "request_header -X-Client-Cert",
        "haproxy": "http-request del-header X-Client-Cert",
    }
    assert forwarded[proxy] in text
    assert cleared.get(proxy, "") in text
    assert any(note.startswith("client certificates: ") for note in snippet.notes)
    assert forwarded[proxy] not in "\n".join(render_snippet(proxy, MINE).files.values())


@pytest.mark.parametrize("proxy", PROXIES)
def test_certificates_in_a_form_that_the_proxy_cannot_write(proxy: str) -> None:
    other = "xfcc" if FORWARDED[proxy].format != "xfcc" else "nginx"
    with pytest.raises(SnippetError, match="cannot write"):
        render_snippet(proxy, replace(MINE, certificate=Forwarded(header="X-A", format=other)))


@pytest.mark.parametrize("proxy", ["envoy", "traefik"])
def test_certificates_in_a_header_that_the_proxy_cannot_choose(proxy: str) -> None:
    wrong = replace(FORWARDED[proxy], header="X-Client-Cert")
    with pytest.raises(SnippetError, match="only"):
        render_snippet(proxy, replace(MINE, certificate=wrong))


Judge = Callable[[str, Path], tuple[str, ...]]
JUDGES: dict[str, tuple[str | None, Judge]] = {
    "nginx": (
        Nginx().binary(),
        lambda binary, at: (binary, "-t", "-p", str(at), "-e", "stderr", "-c", "nginx.conf",
                            "-g", f"pid {at}/nginx.pid;"),
    ),
    "envoy": (
        Envoy().binary(),
        lambda binary, at: (binary, "--mode", "validate", "-c", str(at / "envoy.yaml"),
                            "--disable-hot-restart"),
    ),
    "caddy": (
        Caddy().binary(),
        lambda binary, at: (binary, "validate", "--adapter", "caddyfile",
                            "--config", str(at / "Caddyfile")),
    ),
    "haproxy": (
        HAProxy().binary(),
        lambda binary, at: (binary, "-c", "-f", str(at / "haproxy.cfg")),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), ("wiki.example.org",))


@pytest.mark.parametrize("proxy", JUDGES)
@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(MINE, id="mine"),
        pytest.param(
            replace(MINE, auth_host="login.example.org", strip_cookie=False), id="auth host"
        ),
        pytest.param(replace(MINE, certificate=FORWARDED["nginx"]), id="certificates"),
        pytest.param(replace(MINE, nginx_cache=True), id="repeating"),
    ],
)
def test_the_proxy_itself_accepts_it(
    proxy: str, facts: DeploymentFacts, tmp_path: Path, certificate: Certificate
) -> None:
    binary, judge = JUDGES[proxy]
    if binary is None:
        pytest.skip(f"{proxy} is not installed")
    http, https = free_ports(2)
    if facts.certificate is not None:
        facts = replace(facts, certificate=FORWARDED[proxy])
    for name, text in render_snippet(proxy, facts).files.items():
        local = (
            text.replace("/etc/ssl/example.com/fullchain.pem", str(certificate.chain))
            .replace("/etc/ssl/example.com/privkey.pem", str(certificate.key))
            .replace("/etc/ssl/example.com/haproxy.pem", str(certificate.both))
            .replace("/etc/haproxy/authz.lua", str(tmp_path / "authz.lua"))
            .replace("/dev/shm/authz-nginx", str(tmp_path / "cache"))
            .replace("listen 80 ", f"listen 127.0.0.1:{http} ")
            .replace("listen 443 ", f"listen 127.0.0.1:{https} ")
        )
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(local)
    judged = subprocess.run(
        judge(binary, tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
    )
    assert judged.returncode == 0, judged.stderr + judged.stdout
