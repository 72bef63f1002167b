"""The adapters by the path of their subrequests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.adapters import envoy, ingress_nginx
from authz_sidecar.adapters.client_certificates import CertificateHeader, ClientCertificateAdapter
from authz_sidecar.adapters.envoy import Envoy
from authz_sidecar.adapters.forward_auth import ForwardAuth
from authz_sidecar.adapters.ingress_nginx import IngressNginx
from authz_sidecar.adapters.nginx import Nginx, NginxChallenge
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from authz_sidecar.adapters.base import Adapter

NAMES = ("nginx", "ingress-nginx", "traefik", "envoy", "caddy", "haproxy")


def enabled_adapters(
    enabled: Iterable[str],
    *,
    trusted_hops: NetworkSet = NO_NETWORKS,
    certificate: CertificateHeader | None = None,
) -> Mapping[str, Adapter]:
    """Return the enabled adapters by raw path; Envoy's path ends with a slash and is a prefix.

    `certificate` is the header in which the proxies forward the client certificate, if they do.
    Raises `KeyError` for a name that is not in `NAMES`.
    """
    by_name: dict[str, dict[str, Adapter]] = {
        name: {f"/auth/{name}": ForwardAuth(name=name, trusted_hops=trusted_hops)}
        for name in ("traefik", "caddy", "haproxy")
    }
    by_name["nginx"] = {
        "/auth/nginx": Nginx(trusted_hops=trusted_hops),
        "/auth/nginx/challenge": NginxChallenge(trusted_hops=trusted_hops),
    }
    by_name["ingress-nginx"] = {
        ingress_nginx.AUTH_PATH: IngressNginx(trusted_hops=trusted_hops, certificate=certificate)
    }
    by_name["envoy"] = {f"{envoy.PATH_PREFIX}/": Envoy(trusted_hops=trusted_hops)}
    chosen = {path: adapter for name in enabled for path, adapter in by_name[name].items()}
    if certificate is None:
        return chosen
    return {
        path: adapter  # reads it from the query
        if isinstance(adapter, IngressNginx)
        else ClientCertificateAdapter(adapter=adapter, header=certificate)
        for path, adapter in chosen.items()
    }
