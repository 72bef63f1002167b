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
    """Client certificates that the proxy verifies and forwards."""

    header: HeaderName = Field(
        description="The header in which the proxy forwards the certificate. The proxy has to overwrite"
        " it on every server, or a client could send its own."
    )
    format: Literal["nginx", "pem", "traefik", "xfcc"] = Field(
        description="The format of the header: nginx's `$ssl_client_verify` and"
        " `$ssl_client_escaped_cert`, the latter alone (`pem`), Traefik's `passTLSClientCert`, or"
        " Envoy's `x-forwarded-client-cert`; [more](policy.md#requests)."
    )


class Throttle(Section):
    """A rate limit for each client network (an IPv4 address, or an IPv6 /64): on starting, finishing and
    handing over sign-ins, and on tokens."""

    requests: Number = Field(
        default=300,
        ge=1,
        description="The maximum number of requests in a window; a sign-in takes about four.",
    )
    window: Duration = Field(default=60.0, description="The length of a window.")
    exempt: Annotated[tuple[NetworkText, ...], MustBeList] = Field(
        default=(),
        description="Networks without a limit: the address of an office with many users, or"
        " `[0.0.0.0/0, ::/0]` if the proxy limits the rate.",
    )


class Server(Section):
    """Where the sidecar listens and which proxies it trusts."""

    listen: ListenAddressText = Field(
        default=value_parsers.TcpAddress("127.0.0.1", 9180),
        description="Where proxies send checks: `address:port` or `unix:/path`. Any address but"
        " loopback requires `trusted_proxies`.",
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
        description="The enabled check endpoints. List only those of your proxies.",
    )
    workers: Number = Field(default=1, ge=1, le=256, description="The number of worker processes.")
    base_path: BasePath = Field(
        default="/.auth",
        description="The path of the sign-in pages on every protected host.",
    )
    trusted_proxies: Annotated[tuple[NetworkText, ...], MustBeList] = Field(
        default=(
            value_parsers.parse_exact_network("127.0.0.1/32"),
            value_parsers.parse_exact_network("::1/128"),
        ),
        description="Networks that checks are accepted from. For a Unix socket, its file permissions"
        " decide.",
    )
    trusted_hops: Annotated[tuple[NetworkText, ...], MustBeList] = Field(
        default=(),
        description="Networks of proxies before your proxy: skipped, from the right, when the"
        " client's address is read from `X-Forwarded-For`.",
    )
    auth_host: OriginText | None = Field(
        default=None,
        description="A central sign-in host: one redirect URI per provider, and single sign-on"
        " across all other hosts, whatever their domains.",
    )
    client_certificate: ClientCertificateSettings | None = Field(
        default=None,
        description="Set it only if the proxy verifies client certificates and overwrites this header.",
    )
    fast_lane: Boolean = Field(
        default=True,
        description="Answer checks from memory when everything needed is there. Responses are the same"
        " without it; turn it off only to rule it out as a cause.",
    )
    nginx_cache: Duration = Field(
        default=0.0,
        description="How long nginx may cache that a request passes, with the cache of"
        " `deploy/nginx/`: whole seconds, at most 60. For that time and up to a second more, a"
        " sign-out elsewhere, a revocation or a policy change has no effect. `0s` disables it.",
    )
    throttle: Annotated[Throttle, MustBeMap] = Field(
        default_factory=Throttle,
        description="A rate limit for sign-ins and tokens by client network. Above it, the response"
        " is 429 with `Retry-After`.",
    )
    strip_cookie: Boolean = Field(
        default=True,
        description="Remove the sidecar's cookies from the `Cookie` header that apps receive, so that"
        " apps never see a session.",
    )
    allow_insecure_http: Boolean = Field(
        default=False,
        description="Allow `http://` routes on names that are not loopback; their cookies are sent"
        " unencrypted.",
    )
