"""The section `server`: where the sidecar listens and which proxies it trusts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from authz_sidecar.config import value_parsers
from authz_sidecar.config.schema.kinds import (
    BasePath,
    Boolean,
    Duration,
    HeaderName,
    ListenAddressText,
    MustBeList,
    MustBeMap,
    NetworkText,
    Number,
    OriginText,
    Section,
    Unique,
)

AdapterName = Literal["nginx", "ingress-nginx", "traefik", "envoy", "caddy", "haproxy"]
ADAPTERS: tuple[AdapterName, ...] = (
    "nginx",
    "ingress-nginx",
    "traefik",
    "envoy",
    "caddy",
    "haproxy",
)


class ClientCertificateSettings(Section):
    """Client certificates, where the proxy verifies them and forwards what it found."""

    header: HeaderName = Field(
        description="The header in which the proxy forwards it. The proxy has to write it on every"
        " server: elsewhere a client's own would arrive."
    )
    format: Literal["nginx", "pem", "traefik", "xfcc"] = Field(
        description="How it is written there: nginx's `$ssl_client_verify` and"
        " `$ssl_client_escaped_cert`, the latter alone (`pem`), Traefik's `passTLSClientCert`, or"
        " Envoy's `x-forwarded-client-cert`; [more](policy.md#requests)."
    )


class Throttle(Section):
    """How often one network (an IPv4 address, or an IPv6 network of 64 bits) may ask for what costs
    work: beginning, finishing and handing over sign-ins, and tokens."""

    requests: Number = Field(
        default=300, ge=1, description="So many in one window; one sign-in takes about four."
    )
    window: Duration = Field(default=60.0, description="The length of a window.")
    exempt: Annotated[tuple[NetworkText, ...], MustBeList] = Field(
        default=(),
        description="Networks that are not counted: the address of an office with many people, or"
        " `[0.0.0.0/0, ::/0]` where somebody else throttles.",
    )


class Server(Section):
    """Where the sidecar listens and whom it answers."""

    listen: ListenAddressText = Field(
        default=value_parsers.TcpAddress("127.0.0.1", 9180),
        description="Where proxies ask: `address:port` or `unix:/path`. Anything but loopback needs"
        " `trusted_proxies` spelled out.",
    )
    web_listen: ListenAddressText = Field(
        default=value_parsers.TcpAddress("127.0.0.1", 9181),
        description="Where sign-in, sign-out and their pages are served; the proxy routes"
        " `base_path` of every protected host here.",
    )
    ops_listen: ListenAddressText = Field(
        default=value_parsers.TcpAddress("127.0.0.1", 9182),
        description="Health, metrics and status, for operators.",
    )
    adapters: Annotated[tuple[AdapterName, ...], MustBeList, Unique] = Field(
        default=ADAPTERS,
        min_length=1,
        description="The check endpoints that answer. Name yours: the others only invite mistakes.",
    )
    workers: Number = Field(default=1, ge=1, le=256, description="Processes that answer.")
    base_path: BasePath = Field(
        default="/.auth",
        description="The path under which sign-in lives on every protected host.",
    )
    trusted_proxies: Annotated[tuple[NetworkText, ...], MustBeList] = Field(
        default=(
            value_parsers.parse_exact_network("127.0.0.1/32"),
            value_parsers.parse_exact_network("::1/128"),
        ),
        description="Networks that may ask. A Unix socket's file permissions decide for itself.",
    )
    trusted_hops: Annotated[tuple[NetworkText, ...], MustBeList] = Field(
        default=(),
        description="Networks of proxies before your proxy: skipped, from the right, when the"
        " client's address is read from `X-Forwarded-For`.",
    )
    auth_host: OriginText | None = Field(
        default=None,
        description="A central sign-in host: one callback URL at the provider, and single sign-on"
        " across all other hosts, whatever their domains.",
    )
    client_certificate: ClientCertificateSettings | None = Field(
        default=None,
        description="Only if the proxy verifies client certificates and overwrites this header.",
    )
    fast_lane: Boolean = Field(
        default=True,
        description="Answer checks from memory where everything is at hand. The answers are the same"
        " without; to be turned off only to find that out.",
    )
    nginx_cache: Duration = Field(
        default=0.0,
        description="How long nginx may repeat that a request passes, with the cache of"
        " `deploy/nginx/`: whole seconds, 60 at most. For as long, and up to a second more, it notices"
        " neither a sign-out elsewhere nor a revocation nor another policy. `0s` is not at all.",
    )
    throttle: Annotated[Throttle, MustBeMap] = Field(
        default_factory=Throttle,
        description="How often one network may ask for what costs work. Too often is 429 with"
        " `Retry-After`.",
    )
    strip_cookie: Boolean = Field(
        default=True,
        description="Hand the proxy a `Cookie` header without our own cookies, so that apps never"
        " see a session.",
    )
    allow_insecure_http: Boolean = Field(
        default=False,
        description="Allow `http://` routes on names that are not loopback: cookies then travel in"
        " the clear.",
    )
