"""HAProxy with `deploy/haproxy/`."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.proxy import AUTH_HOST, DEPLOY, Facts, Places, deployed, forwarded_facts

if TYPE_CHECKING:
    from tests.servers.wire import Message


@dataclass(frozen=True)
class HAProxy:
    name: str = "haproxy"
    outage_status: int = 503

    def binary(self) -> str | None:
        return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        config, lua = places.directory / "haproxy.cfg", places.directory / "authz.lua"
        lua.write_text((DEPLOY / "haproxy" / "authz.lua").read_text())
        config.write_text(
            deployed(
                "haproxy/haproxy.cfg",
                {
                    "bind :80": f"bind 127.0.0.1:{places.http}",
                    "bind :443": f"bind 127.0.0.1:{places.https}",
                    "127.0.0.1:8080": str(places.app),
                    "127.0.0.1:9180": str(places.check),
                    "127.0.0.1:9181": str(places.web),
                    "/etc/haproxy/authz.lua": str(lua),
                    "/etc/ssl/example.com/haproxy.pem": str(places.certificate.both),
                    "auth[.]example[.]com": AUTH_HOST.replace(".", "[.]"),
                },
            )
        )
        return (binary, "-db", "-f", str(config))

    def facts(self, asked: Message) -> Facts:
        return forwarded_facts(asked)
