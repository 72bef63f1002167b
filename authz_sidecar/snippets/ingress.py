"""ingress-nginx: annotations for the operator's own Ingress, whose hosts and paths stay theirs."""

from __future__ import annotations

import re

from authz_sidecar.adapters.ingress_nginx import question
from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.snippets.edit import Text
from authz_sidecar.snippets.facts import Facts, SnippetError

BUFFER = "16k"
"""An answer with 3.5 kB of identity and 12 kB of the client's cookies fits; the controller's 4 kB
makes a 500 of it."""
NOTE = (
    "ingress-nginx is retired and gets no security fixes since March 2026: docs/ingress-nginx.md leads"
    " to its successors"
)

# The controller writes them on servers with an authority for clients alone.
_OF_CERTIFICATES = tuple(
    f"ssl-client-{part}" for part in ("cert", "verify", "subject-dn", "issuer-dn")
)
_CLEARED = re.compile(r'^proxy_set_header (\S+) "";', re.MULTILINE)
_SERVICE = "authz-sidecar.authz-sidecar.svc.cluster.local"


def ingress_nginx(facts: Facts, *, like_nginx: Text) -> list[Text]:
    """`like_nginx` is the file of `deploy/nginx/` that says which headers no client may bring, beside
    those for identity."""
    if not isinstance(facts.check, TcpAddress) or not isinstance(facts.web, TcpAddress):
        raise SnippetError("ingress-nginx cannot ask over a Unix socket: give the listeners ports")
    return [
        Text("annotations.yaml", _annotations(facts, facts.check.port)),
        Text("pages.yaml", _pages(facts, facts.web.port)),
        Text("clear-headers.yaml", _clear_headers(facts.headers, like_nginx)),
    ]


def _annotations(facts: Facts, port: int) -> str:
    listed = ",".join([*facts.headers, *(["Cookie"] if facts.strip_cookie else [])])
    asked = question(certificate=facts.certificate is not None)
    return f"""\
# For the Ingress of an application. The address is that of the Service in front of the sidecar;
# `server.trusted_proxies` must name the controller's network. Its query is how the sidecar is told
# what the controller acts on, in words that no client can write: leave it as it is. The list of
# headers is complete: what the sidecar does not answer with, a client cannot bring either.
metadata:
  annotations:
    nginx.ingress.kubernetes.io/auth-url: "http://{_SERVICE}:{port}{asked}"
    nginx.ingress.kubernetes.io/auth-signin: "https://$host{facts.base_path}/start"
    nginx.ingress.kubernetes.io/auth-signin-redirect-param: "rd"
    nginx.ingress.kubernetes.io/auth-response-headers: "{listed}"
    nginx.ingress.kubernetes.io/auth-always-set-cookie: "true"
    nginx.ingress.kubernetes.io/proxy-buffer-size: "{BUFFER}"
"""


def _pages(facts: Facts, port: int) -> str:
    rules = [_rule(host.replace("**.", "*."), facts.base_path, port) for host in facts.hosts]
    if facts.auth_host is not None:  # all of it is the sidecar's
        rest = f"          - {{path: /, pathType: Prefix, backend: {_backend(port)}}}"
        rules.append(f"{_rule(facts.auth_host, facts.base_path, port)}\n{rest}")
    listed = "\n".join(rules)
    return f"""\
# The sidecar's own pages on every protected host, reached without asking it first.
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: authz-sidecar-pages
  namespace: authz-sidecar
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffer-size: "{BUFFER}"
spec:
  ingressClassName: nginx
  rules:
{listed}
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


def _clear_headers(identity: tuple[str, ...], like_nginx: Text) -> str:
    headers = (*identity, *_CLEARED.findall(like_nginx.content), *_OF_CERTIFICATES)
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
