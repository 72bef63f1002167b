"""nginx with `deploy/nginx/`."""

from __future__ import annotations

import getpass
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.proxy import AUTH_HOST, DEPLOY, Facts, Places, deployed, forwarded_facts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.wire import Message

# What a distribution's package sets at compile time and a test must not touch.
LOCAL = """
access_log off;
client_body_temp_path tmp/body; proxy_temp_path tmp/proxy;
fastcgi_temp_path tmp/fastcgi; uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
"""


CACHE_KEY = next(
    line
    for line in (DEPLOY / "nginx" / "authz" / "cache.conf").read_text().splitlines()
    if line.startswith("proxy_cache_key ")
)


@dataclass(frozen=True)
class Nginx:
    """`repeats` answers, as the README says; by another `cache_key` where one is given. `outer` is
    what else an operator has at the http level; `protected` and `unprotected` are more locations of
    the hosts that are asked about and of the one that is not."""

    name: str = "nginx"
    outage_status: int = 503
    repeats: bool = False
    cache_key: str = CACHE_KEY
    outer: str = ""
    protected: str = ""
    unprotected: str = ""

    def binary(self) -> str | None:
        return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        directory = places.directory
        for name in ("authz", "conf.d", "tmp"):
            (directory / name).mkdir()
        for file in (DEPLOY / "nginx" / "authz").iterdir():
            (directory / "authz" / file.name).write_text(file.read_text())
        (directory / "nginx.conf").write_text(
            deployed(
                "nginx/nginx.conf",
                {
                    "listen 80 ": f"listen 127.0.0.1:{places.http} ",
                    "listen 443 ": f"listen 127.0.0.1:{places.https} ",
                    "127.0.0.1:8080": str(places.app),
                    "/etc/ssl/example.com/fullchain.pem": str(places.certificate.chain),
                    "/etc/ssl/example.com/privkey.pem": str(places.certificate.key),
                    "auth.example.com": AUTH_HOST,
                },
            )
        )
        (directory / "authz" / "http.conf").write_text(
            deployed(
                "nginx/authz/http.conf",
                {"127.0.0.1:9180": str(places.check), "127.0.0.1:9181": str(places.web)},
            )
        )
        (directory / "conf.d" / "local.conf").write_text(LOCAL + self.outer)
        self._add_locations(directory)
        if self.repeats:
            self._repeat(directory)
        main = f"daemon off; pid {directory}/nginx.pid; error_log stderr warn;"
        if os.geteuid() == 0:
            main += f" user {getpass.getuser()};"
        return (binary, "-p", str(directory), "-e", "stderr", "-c", "nginx.conf", "-g", main)

    def _add_locations(self, directory: Path) -> None:
        path = directory / "nginx.conf"
        text = path.read_text()
        for name, locations in (("protect", self.protected), ("unprotected", self.unprotected)):
            first = f"        location / {{\n            include authz/{name}.conf;"
            assert text.count(first) == 1, name
            text = text.replace(first, f"{locations}{first}")
        path.write_text(text)

    def _repeat(self, directory: Path) -> None:
        edits = {
            "nginx.conf": ("# include authz/cache-zone.conf;", "include authz/cache-zone.conf;"),
            "authz/sidecar.conf": ("# include authz/cache.conf;", "include authz/cache.conf;"),
            "authz/cache-zone.conf": ("/dev/shm/authz-nginx", str(directory / "cache")),
            "authz/cache.conf": (CACHE_KEY, self.cache_key),
        }
        for name, (old, new) in edits.items():
            text = (directory / name).read_text()
            assert old in text, name
            (directory / name).write_text(text.replace(old, new))

    def facts(self, asked: Message) -> Facts:
        return forwarded_facts(asked)
