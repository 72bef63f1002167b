"""ingress-nginx: annotations for the operator's own Ingress, whose hosts and paths stay theirs."""

from __future__ import annotations

from authz_sidecar.config.grammar import TcpAddress
from authz_sidecar.snippets.edit import Text
from authz_sidecar.snippets.facts import Facts, SnippetError

_SERVICE = "authz-sidecar.authz-sidecar.svc.cluster.local"


def ingress_nginx(facts: Facts) -> list[Text]:
    if not isinstance(facts.check, TcpAddress) or not isinstance(facts.web, TcpAddress):
        raise SnippetError("ingress-nginx cannot ask over a Unix socket: give the listeners ports")
    headers = [*facts.headers, *(["Cookie"] if facts.strip_cookie else [])]
    return [
        Text("annotations.yaml", _annotations(facts.check.port, facts.base_path, headers)),
        Text("pages.yaml", _pages(facts, facts.web.port)),
    ]


def _annotations(port: int, base_path: str, headers: list[str]) -> str:
    listed = ",".join(headers)
    return f"""\
# For the Ingress of an application. The address is that of the Service in front of the sidecar;
# `server.trusted_proxies` must name the controller's network. The header list is complete: what
# the sidecar does not answer with, a client cannot bring either.
metadata:
  annotations:
    nginx.ingress.kubernetes.io/auth-url: "http://{_SERVICE}:{port}/auth/ingress-nginx"
    nginx.ingress.kubernetes.io/auth-signin: "https://$host{base_path}/start"
    nginx.ingress.kubernetes.io/auth-signin-redirect-param: "rd"
    nginx.ingress.kubernetes.io/auth-response-headers: "{listed}"
    nginx.ingress.kubernetes.io/auth-always-set-cookie: "true"
"""


def _pages(facts: Facts, port: int) -> str:
    hosts = [*facts.hosts, *([facts.auth_host] if facts.auth_host else [])]
    rules = "\n".join(_rule(host.replace("**.", "*."), facts.base_path, port) for host in hosts)
    return f"""\
# The sidecar's own pages on every protected host, reached without asking it first.
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: authz-sidecar-pages
  namespace: authz-sidecar
spec:
  ingressClassName: nginx
  rules:
{rules}
"""


def _rule(host: str, base_path: str, port: int) -> str:
    backend = f"{{service: {{name: authz-sidecar, port: {{number: {port}}}}}}}"
    return f"""\
    - host: "{host}"
      http:
        paths:
          - {{path: {base_path}, pathType: Prefix, backend: {backend}}}
          - {{path: /.well-known/pomerium/jwks.json, pathType: Exact, backend: {backend}}}
          - {{path: /.well-known/oauth-protected-resource, pathType: Prefix, backend: {backend}}}
          - {{path: /robots.txt, pathType: Exact, backend: {backend}}}"""
