"""Writes annotations and a pages Ingress for ingress-nginx, to add to the operator's own
Ingress."""

from __future__ import annotations

import re

from authz_sidecar.adapters.ingress_nginx import auth_url_path
from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.snippets.edit import TextFile
from authz_sidecar.snippets.facts import DeploymentFacts, SnippetError

PROXY_BUFFER_SIZE = "16k"
"""An answer with 3.5 kB of identity and 12 kB of the client's cookies fits; the controller's 4 kB
makes a 500 of it."""
RETIREMENT_NOTE = (
    "ingress-nginx is retired and gets no security fixes since March 2026: docs/ingress-nginx.md leads"
    " to its successors"
)

# The controller writes them on servers with an authority for clients alone.
_CERTIFICATE_HEADERS = tuple(
    f"ssl-client-{part}" for part in ("cert", "verify", "subject-dn", "issuer-dn")
)
_CLEARED_HEADER = re.compile(r'^proxy_set_header (\S+) "";', re.MULTILINE)
_SERVICE = "authz-sidecar.authz-sidecar.svc.cluster.local"


def render_ingress_nginx(facts: DeploymentFacts, *, nginx_removals: TextFile) -> list[TextFile]:
    """Return the files for ingress-nginx. `nginx_removals` is the file of `deploy/nginx/` with the
    headers that no client may send. Raises `SnippetError` if the sidecar listens on a Unix
    socket."""
    if not isinstance(facts.check, TcpAddress) or not isinstance(facts.web, TcpAddress):
        raise SnippetError(
            "ingress-nginx cannot connect to a Unix socket: give the listeners ports"
        )
    return [
        TextFile("annotations.yaml", _annotations(facts, facts.check.port)),
        TextFile("pages.yaml", _pages(facts, facts.web.port)),
        TextFile("clear-headers.yaml", _clear_headers(facts.headers, nginx_removals)),
    ]


def _annotations(facts: DeploymentFacts, port: int) -> str:
    response_headers = ",".join([*facts.headers, *(["Cookie"] if facts.strip_cookie else [])])
    auth_path = auth_url_path(certificate=facts.certificate is not None)
    return f"""\
# For the Ingress of an application. The address is that of the Service in front of the sidecar;
# `server.trusted_proxies` must name the controller's network. Its query is how the sidecar is told
# what the controller acts on, in words that no client can write: leave it as it is. The list of
# headers is complete: what the sidecar does not answer with, a client cannot bring either.
metadata:
  annotations:
    nginx.ingress.kubernetes.io/auth-url: "http://{_SERVICE}:{port}{auth_path}"
    nginx.ingress.kubernetes.io/auth-signin: "https://$host{facts.base_path}/start"
    nginx.ingress.kubernetes.io/auth-signin-redirect-param: "rd"
    nginx.ingress.kubernetes.io/auth-response-headers: "{response_headers}"
    nginx.ingress.kubernetes.io/auth-always-set-cookie: "true"
    nginx.ingress.kubernetes.io/proxy-buffer-size: "{PROXY_BUFFER_SIZE}"
"""


def _pages(facts: DeploymentFacts, port: int) -> str:
    rules = [_rule(host.replace("**.", "*."), facts.base_path, port) for host in facts.hosts]
    if facts.auth_host is not None:  # all of it is the sidecar's
        rest = f"          - {{path: /, pathType: Prefix, backend: {_backend(port)}}}"
        rules.append(f"{_rule(facts.auth_host, facts.base_path, port)}\n{rest}")
    rule_lines = "\n".join(rules)
    return f"""\
# The sidecar's own pages on every protected host, reached without asking it first.
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: authz-sidecar-pages
  namespace: authz-sidecar
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffer-size: "{PROXY_BUFFER_SIZE}"
spec:
  ingressClassName: nginx
  rules:
{rule_lines}
"""


def _backend(port: int) -> str:
    return f"{{service: {{name: authz-sidecar, port: {{number: {port}}}}}}}"


def _rule(host: str, base_path: str, port: int) -> str:
    backend = _backend(port)
    return f"""\
    - host: "{host}"
      http:
        paths:
          - {{path: {base_path}, pathType: Prefix, backend: {backend}}}
          - {{path: /.well-known/pomerium/jwks.json, pathType: Exact, backend: {backend}}}
          - {{path: /.well-known/oauth-protected-resource, pathType: Prefix, backend: {backend}}}
          - {{path: /robots.txt, pathType: Exact, backend: {backend}}}"""


def _clear_headers(identity: tuple[str, ...], nginx_removals: TextFile) -> str:
    headers = (*identity, *_CLEARED_HEADER.findall(nginx_removals.content), *_CERTIFICATE_HEADERS)
    lines = "\n".join(f'  {header}: ""' for header in dict.fromkeys(headers))
    return f"""\
# Headers that no client may bring, on every host of the controller. In the controller's own ConfigMap:
# `proxy-set-headers: "authz-sidecar/authz-clear-headers"`. An empty value removes the client's; what
# the controller or `auth-response-headers` sets under the same name still arrives.
apiVersion: v1
kind: ConfigMap
metadata:
  name: authz-clear-headers
  namespace: authz-sidecar
data:
{lines}
"""
