"""ingress-nginx with the annotations `auth-url` and `auth-signin`.

The controller sets `X-Original-URL` and `X-Original-Method`, and sends the browser where the
annotation says; `X-Auth-Redirect` carries the address we would have sent it to. Every other header of
the question is the client's, and `X-Original-URL` has the client's `Host`, not the host by which the
controller chose the application. What the client must have no say in therefore stands in the address
of the question, which the annotation alone writes.
https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#external-authentication
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing
from authz_sidecar.adapters.base import Answer, SignInFirst
from authz_sidecar.adapters.client_certificates import from_nginx
from authz_sidecar.adapters.nginx import verify_reply
from authz_sidecar.adapters.request_parsing import FACTS, request_of
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, Networks
from authz_sidecar.core.types import Fact
from authz_sidecar.errors import BadProxyRequest, ProxyMisconfigured

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import RawRequest, Reply
    from authz_sidecar.adapters.client_certificates import CertificateHeader
    from authz_sidecar.core.types import CheckRequest

PATH = "/auth/ingress-nginx"
METHOD = "x-original-method"
URL = "x-original-url"

# https://nginx.org/en/docs/http/ngx_http_core_module.html#var_host, and …/ngx_http_ssl_module.html
_HOST = ("host", "$host")
_UPGRADE = ("upgrade", "$http_upgrade")
_CERTIFICATE = ("certificate", "$ssl_client_verify,$ssl_client_escaped_cert")


def question(*, certificate: bool) -> str:
    """The path and query of `auth-url`, with nginx's variables."""
    return f"{PATH}?{'&'.join(f'{name}={value}' for name, value in _parameters(certificate))}"


def _parameters(certificate: bool) -> tuple[tuple[str, str], ...]:  # noqa: FBT001 - named by its caller
    return (_HOST, _UPGRADE, _CERTIFICATE) if certificate else (_HOST, _UPGRADE)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressNginx:
    """With `certificate` the client's comes in the address, too. The header that it names is that of
    other proxies: here it is the client's, and not read."""

    trusted_hops: Networks = NO_NETWORKS
    certificate: CertificateHeader | None = None

    @property
    def name(self) -> str:
        return "ingress-nginx"

    @property
    def facts(self) -> frozenset[Fact]:
        return FACTS if self.certificate is None else FACTS | {Fact.CERTIFICATE}

    def parse(self, raw: RawRequest) -> CheckRequest:
        scheme, host, target = _split(request_parsing.one(raw.headers, URL))
        method = request_parsing.one(raw.headers, METHOD)
        told = self._query(raw.target)
        # nginx hides a client's `Upgrade` from the service it asks, and hands it to the application.
        upgrade = (("upgrade", told["upgrade"]),) if told["upgrade"] else ()
        request = request_of(
            (*raw.headers, *upgrade),
            adapter=self.name,
            scheme=scheme,
            target=target,
            method=method,
            host=host,
            trusted_hops=self.trusted_hops,
        )
        # `$host` is in lower case, without a port and a trailing dot; so is a host of ours.
        if told["host"] != request.origin.host:
            raise BadProxyRequest(
                f"the controller serves `{told['host'][:100]!a}`, and `{URL}` is about"
                f" `{request.origin.host}`"
            )
        if self.certificate is None:
            return request
        verify, _, escaped = told["certificate"].rpartition(",")
        return replace(
            request,
            headers=tuple(line for line in request.headers if line[0] != self.certificate.name),
            certificate=from_nginx(verify=verify, escaped=escaped),
            facts=self.facts,
        )

    def render(self, answer: Answer, request: CheckRequest | None) -> Reply:  # noqa: ARG002 - the first call says little
        redirect = (
            (("x-auth-redirect", answer.location),) if isinstance(answer, SignInFirst) else ()
        )
        return verify_reply(answer, *redirect)

    def _query(self, target: str) -> dict[str, str]:
        """Exactly the parameters of the annotation, each once and in its order."""
        expected = [name for name, _ in _parameters(self.certificate is not None)]
        pairs = [pair.partition("=") for pair in target.partition("?")[2].split("&")]
        names = [name for name, _, _ in pairs]
        if names == expected:
            return {name: value for name, _, value in pairs}
        # The client's part are the values. Where one of them holds `&`, no name of ours is missing.
        if names[0] == expected[0] and set(expected) <= set(names):
            raise BadProxyRequest(
                f"the question has the parameters `{', '.join(names)[:100]!a}`, and not exactly"
                f" `{', '.join(expected)}`"
            )
        raise ProxyMisconfigured(
            "the annotation `nginx.ingress.kubernetes.io/auth-url` has to end in"
            f" `{question(certificate=self.certificate is not None)}`, as `authz-sidecar snippet"
            " ingress-nginx` prints it"
        )


def _split(url: str) -> tuple[str, str, str]:
    """`scheme://authority/target`. Only the first slash ends the authority, so that a backslash,
    a `?` or a `#` before it fails the grammar of hosts."""
    scheme, separator, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    if not separator or not slash:
        raise BadProxyRequest(f"`{URL}` is not an absolute URL with a path")
    return scheme, authority, f"/{target}"
