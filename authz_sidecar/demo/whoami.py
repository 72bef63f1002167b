"""The demo's application: shows who the user is, by the request headers, and every header it
received. It knows nothing of sign-in, as an application behind the sidecar should.

    python -m authz_sidecar.demo.whoami --port 8001 --site "app=http://app.localhost:8080"
"""

from __future__ import annotations

import argparse
import json
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import unquote

_IDENTITY_HEADERS: Final = ("X-Auth-Name", "X-Auth-User", "X-Auth-Email", "X-Auth-Groups")
_MAX_BODY_BYTES: Final = 1 << 20


def serve(*, port: int, sites: dict[str, str]) -> None:
    """Serve the app on 127.0.0.1 until the process ends; `sites` are the links, origins by name."""
    template = Template(
        files("authz_sidecar.demo").joinpath("whoami.html").read_text(encoding="utf-8")
    )

    class Handler(_Handler):
        page = template
        links = sites

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    page: Template
    links: dict[str, str]

    def handle_one_request(self) -> None:
        """Answer every method in the same way."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or len(self.raw_requestline) > 65536:
            self.close_connection = True
        elif self.parse_request():
            self._respond()

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
        else:
            self.rfile.read(min(int(length), _MAX_BODY_BYTES))
        if "application/json" in self.headers.get("Accept", ""):
            media_type, body = "application/json", self._json()
        else:
            media_type, body = "text/html; charset=utf-8", self._html()
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self) -> bytes:
        request = {"method": self.command, "target": self.path, "headers": self.headers.items()}
        return json.dumps(request, indent=2).encode()

    def _html(self) -> bytes:
        host = self.headers.get("Host", "").partition(":")[0]
        name = self._first(*_IDENTITY_HEADERS)
        return self.page.substitute(
            host=escape(host),
            greeting=escape(f"Hello, {name}" if name else "Hello, anonymous visitor"),
            explanation=escape(
                "The proxy let this request through and sent the app your identity."
                if name
                else "The proxy let this request through without a sign-in."
            ),
            method=escape(self.command),
            target=escape(self.path),
            links="".join(
                f'<a href="{escape(url)}/"{" aria-current=page" if host in url else ""}>'
                f"{escape(site)}</a>"
                for site, url in self.links.items()
            ),
            account='<p><a href="/.auth/">Your sign-in</a> <a href="/.auth/sign_out">Sign out</a></p>'
            if name
            else "",
            identity=self._rows(identity=True)
            or '<tr><td colspan="2">No identity headers: you are not signed in.</td></tr>',
            others=self._rows(identity=False),
        ).encode("utf-8", "replace")

    def _first(self, *names: str) -> str:
        return next((unquote(value) for name in names if (value := self.headers.get(name))), "")

    def _rows(self, *, identity: bool) -> str:
        return "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in sorted(self.headers.items(), key=_sort_key)
            if name.lower().startswith("x-auth-") is identity
        )


def _sort_key(line: tuple[str, str]) -> tuple[bool, str]:
    """By name, with the signed assertion, which is not readable, last."""
    name = line[0].lower()
    return name == "x-auth-assertion", name


def main() -> None:
    """Parse the command line and serve the app."""
    parser = argparse.ArgumentParser(prog="whoami")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--site", action="append", default=[], metavar="NAME=URL")
    arguments = parser.parse_args()
    sites = dict(site.split("=", 1) for site in arguments.site)
    serve(port=arguments.port, sites=sites)


if __name__ == "__main__":
    main()
