"""The adapter for ingress-nginx with the annotations `auth-url` and `auth-signin`.

The controller sets `X-Original-URL` and `X-Original-Method`, and redirects the browser to the URL
of the annotation; `X-Auth-Redirect` carries the sign-in URL of the sidecar. Every other header of
the subrequest is the client's, and `X-Original-URL` has the client's `Host`, not the host by which
the controller chose the application. Values that the client must not control are therefore in the
query of the subrequest, which the annotation alone writes.
https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#external-authentication
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing
from authz_sidecar.adapters.base import AuthzResponse, LoginRequired
from authz_sidecar.adapters.client_certificates import from_nginx
from authz_sidecar.adapters.nginx import auth_request_response
from authz_sidecar.adapters.request_parsing import STANDARD_ATTRIBUTES, build_request
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.errors import BadProxyRequest, ProxyMisconfigured

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import HttpResponse, SubRequest
    from authz_sidecar.adapters.client_certificates import CertificateHeader
    from authz_sidecar.core.types import CheckRequest

AUTH_PATH = "/auth/ingress-nginx"
METHOD_HEADER = "x-original-method"
URL_HEADER = "x-original-url"

# https://nginx.org/en/docs/http/ngx_http_core_module.html#var_host, and …/ngx_http_ssl_module.html
_HOST_PARAMETER = ("host", "$host")
_UPGRADE_PARAMETER = ("upgrade", "$http_upgrade")
_CERTIFICATE_PARAMETER = ("certificate", "$ssl_client_verify,$ssl_client_escaped_cert")


def auth_url_path(*, certificate: bool) -> str:
    """Return the path and query of `auth-url`, with nginx's variables."""
    return f"{AUTH_PATH}?{'&'.join(f'{name}={value}' for name, value in _parameters(certificate))}"


def _parameters(certificate: bool) -> tuple[tuple[str, str], ...]:  # noqa: FBT001 - named by its caller
    return (
        (_HOST_PARAMETER, _UPGRADE_PARAMETER, _CERTIFICATE_PARAMETER)
        if certificate
        else (_HOST_PARAMETER, _UPGRADE_PARAMETER)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressNginx:
    """The adapter for ingress-nginx.

    With `certificate`, the client certificate comes in the query. The header that `certificate`
    names is that of other proxies: here it is the client's own, and is dropped.
    """

    trusted_hops: NetworkSet = NO_NETWORKS
    certificate: CertificateHeader | None = None

    @property
    def name(self) -> str:
        """The name in logs and metrics."""
        return "ingress-nginx"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The standard attributes, and the certificate where it is configured."""
        return (
            STANDARD_ATTRIBUTES
            if self.certificate is None
            else STANDARD_ATTRIBUTES | {RequestAttribute.CERTIFICATE}
        )

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse `X-Original-*` and the query of the annotation.

        Raises `BadProxyRequest`, and `ProxyMisconfigured` when the annotation lacks a parameter.
        """
        scheme, host, target = _split_url(request_parsing.require_single(raw.headers, URL_HEADER))
        method = request_parsing.require_single(raw.headers, METHOD_HEADER)
        parameters = self._parse_parameters(raw.target)
        # nginx drops a client's `Upgrade` from the subrequest, and passes it to the application.
        upgrade = (("upgrade", parameters["upgrade"]),) if parameters["upgrade"] else ()
        request = build_request(
            (*raw.headers, *upgrade),
            adapter=self.name,
            scheme=scheme,
            target=target,
            method=method,
            host=host,
            trusted_hops=self.trusted_hops,
        )
        # `$host` is in lower case, without a port and a trailing dot; so is a host of ours.
        if parameters["host"] != request.origin.host:
            raise BadProxyRequest(
                f"the controller serves `{parameters['host'][:100]!a}`, and `{URL_HEADER}` is about"
                f" `{request.origin.host}`"
            )
        if self.certificate is None:
            return request
        verify, _, escaped = parameters["certificate"].rpartition(",")
        return replace(
            request,
            headers=tuple(line for line in request.headers if line[0] != self.certificate.name),
            certificate=from_nginx(verify=verify, escaped=escaped),
            attributes=self.attributes,
        )

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:  # noqa: ARG002 - the first subrequest has no body
        """Return 200, 401, 403 or 503; a required sign-in adds `X-Auth-Redirect`."""
        redirect = (
            (("x-auth-redirect", response.location),) if isinstance(response, LoginRequired) else ()
        )
        return auth_request_response(response, *redirect)

    def _parse_parameters(self, target: str) -> dict[str, str]:
        """Return the query's parameters, which must be exactly those of the annotation, in its
        order."""
        expected = [name for name, _ in _parameters(self.certificate is not None)]
        pairs = [pair.partition("=") for pair in target.partition("?")[2].split("&")]
        names = [name for name, _, _ in pairs]
        if names == expected:
            return {name: value for name, _, value in pairs}
        # The client controls the values. If one of them holds `&`, every expected name is still there.
        if names[0] == expected[0] and set(expected) <= set(names):
            raise BadProxyRequest(
                f"the subrequest has the parameters `{', '.join(names)[:100]!a}`, and not exactly"
                f" `{', '.join(expected)}`"
            )
        raise ProxyMisconfigured(
            "the annotation `nginx.ingress.kubernetes.io/auth-url` has to end in"
            f" `{auth_url_path(certificate=self.certificate is not None)}`, as `authz-sidecar snippet"
            " ingress-nginx` prints it"
        )


def _split_url(url: str) -> tuple[str, str, str]:
    """Split `scheme://authority/target`.

    Only the first slash ends the authority, so that a backslash, a `?` or a `#` before it fails the
    grammar of hosts.
    """
    scheme, separator, remainder = url.partition("://")
    authority, slash, target = remainder.partition("/")
    if not separator or not slash:
        raise BadProxyRequest(f"`{URL_HEADER}` is not an absolute URL with a path")
    return scheme, authority, f"/{target}"
