"""The house that the bypass vectors are written for: its hosts and rules.

`/boom` cannot be built as written: nothing in a compiled policy fails at request time, and one that
does not compile starts no server. It is a place for admins here.
"""

from __future__ import annotations

from tests.servers.providers import CLIENT_ID, CLIENT_SECRET

APP, ADMIN, AUTH = "app.example.com", "admin.example.com", "auth.example.com"
HOSTS = (APP, ADMIN, AUTH)
COOKIE = "__Host-authz"
PROVIDER = "corp"
TRUSTED_PROXY = "127.0.0.1"

ANY_SIGNED_IN_USER = {"authenticated_user": True}
COMPANY_DOMAIN = {"domain": {"is": "example.com"}}
ACCEPT = {"accept": True}
NOT_FROM_LAB = {"source_ip": "198.51.100.0/24"}


API_TOKEN_ISSUERS = {"token_issuers": ["machines", "opaque"]}
"""Below /api/ the tokens of programs count as well."""


def configuration(
    *, issuer: str, store: str, extra_routes: tuple[object, ...] = ()
) -> dict[str, object]:
    """`extra_routes` are routes beside those that are always there."""
    return {
        "server": {
            "auth_host": f"https://{AUTH}",
            "trusted_proxies": [f"{TRUSTED_PROXY}/32"],
            "throttle": {"exempt": ["0.0.0.0/0", "::/0"]},
        },
        "sessions": {"store": store},
        "identity_providers": {
            PROVIDER: {
                "issuer": issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                # The vectors come back to `/.auth/callback`, whatever the provider is called.
                "callback": "shared",
            }
        },
        "token_issuers": {
            # `azp`: whose client was given the token, where audiences alone do not say enough.
            "machines": {
                "issuer": issuer,
                "audiences": [CLIENT_ID],
                "require": {"azp": CLIENT_ID},
            },
            "opaque": {
                "issuer": f"{issuer}/opaque",
                "audiences": [CLIENT_ID],
                "introspection": {
                    "endpoint": f"{issuer}/introspect",
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                },
            },
        },
        "headers": {"groups": "all"},
        "routes": [
            _route("public", "/public/", _allow({"http_method": {"in": ["GET", "HEAD"]}})),
            _route("admin", "/admin", _allow_admins(), paths="ignore_case"),
            _route("office-only", "/office-only", _allow({"source_ip": "10.0.0.0/8"})),
            _route(
                "not-from-lab",
                "/not-from-lab",
                [{"allow": {"or": [ACCEPT]}}, {"deny": {"or": [NOT_FROM_LAB]}}],
            ),
            _route("api", "/api/", _allow(), **API_TOKEN_ISSUERS),
            _route("api-admin", "/api/admin", _allow_admins(), **API_TOKEN_ISSUERS),
            _route("boom", "/boom", _allow_admins()),
            _route(
                "overlap", "/overlap", [{"allow": {"or": [ACCEPT]}}, {"deny": {"or": [ACCEPT]}}]
            ),
            _route("rest", "/", [{"allow": {"and": [COMPANY_DOMAIN]}}]),
            {"name": "admin-host", "from": f"https://{ADMIN}", "policy": _allow_admins()},
            *extra_routes,
        ],
    }


def public_route(path: str) -> dict[str, object]:
    """A route that a vector says there was once."""
    return _route("once", path, _allow(ACCEPT))


def _route(name: str, prefix: str, policy: object, **options: object) -> dict[str, object]:
    return {"name": name, "from": f"https://{APP}", "prefix": prefix, "policy": policy, **options}


def _allow(*criteria: object) -> object:
    """To whom a criterion applies, and to everybody who is signed in."""
    return [{"allow": {"or": [*criteria, ANY_SIGNED_IN_USER]}}]


def _allow_admins() -> object:
    return [{"allow": {"and": [{"groups": {"has": "admins"}}]}}]
