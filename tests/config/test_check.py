from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.config.checks import cross_section
from authz_sidecar.config.checks.warnings import find_warnings
from authz_sidecar.config.schema import Config

KEY = "Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"
PROVIDER = {"issuer": "https://idp.example.com", "client_id": "authz", "callback": "own"}
ISSUER = {"issuer": "https://ci.example.com", "audiences": ["a"]}
GITHUB = {**ISSUER, "issuer": "https://token.actions.githubusercontent.com"}
ASKED = {"endpoint": "https://as.example.com/ask", "client_id": "x", "client_secret": "y"}
ROUTE = {"from": "https://a.example.com", "allow_any_authenticated_user": True}


def config(**sections: Any) -> Config:
    return Config.model_validate(
        {
            "secret_keys": [KEY],
            "sessions": {"store": "redis://127.0.0.1:6379/0"},
            "identity_providers": {"corp": PROVIDER},
            "routes": [ROUTE],
            **sections,
        }
    )


def problems(**sections: Any) -> list[str]:
    return [problem.message for problem in cross_section.find_problems(config(**sections))]


def warnings(**sections: Any) -> list[str]:
    return [problem.message for problem in find_warnings(config(**sections))]


def test_a_sound_configuration() -> None:
    assert problems() == []
    assert warnings() == []


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        pytest.param({"secret_keys": ["x" * 31]}, "secret_keys[0]: has 31 bytes and needs at least 32",
                     id="short key"),
        pytest.param({"routes": [ROUTE | {"depends_on": [f"https://{n}.test" for n in range(6)]}]},
                     "routes[0].depends_on: names 6 hosts, at most 5", id="too many hosts together"),
        pytest.param({"routes": [ROUTE | {"depends_on": "https://a.example.com"}]},
                     "routes[0].depends_on[0]: is the route's own host", id="together with itself"),
        pytest.param({"secret_keys": [KEY, KEY]}, "secret_keys[1]: repeats an earlier key",
                     id="same key twice"),
        pytest.param({"server": {"listen": "127.0.0.1:9181"}},
                     "server.web_listen: is the same address as `server.listen`", id="same port"),
        pytest.param({"server": {"ops_listen": "0.0.0.0:9180"}},
                     "server.ops_listen: is the same address as `server.listen`", id="overlapping"),
        pytest.param({"server": {"listen": "unix:/a", "ops_listen": "unix:/a"}},
                     "server.ops_listen: is the same address as `server.listen`", id="same socket"),
        pytest.param({"server": {"listen": "0.0.0.0:9180"}},
                     "server.listen: `0.0.0.0:9180` can be reached from other machines", id="open check"),
        pytest.param({"server": {"web_listen": "[::]:9181"}},
                     "server.web_listen: `[::]:9181` can be reached from other machines", id="open web"),
        pytest.param({"sessions": {"store": "http://x"}}, "sessions.store: must begin with one of",
                     id="unknown store"),
        pytest.param({"sessions": {"store": "redis"}}, "sessions.store: must begin with one of",
                     id="no URL"),
        pytest.param({"sessions": {"store": "memory://"}, "server": {"workers": 2}},
                     "server.workers: must be 1 with `memory://`", id="memory shared by processes"),
        pytest.param({"sessions": {"store": "memory://", "lifetime": "0s"}},
                     "sessions.lifetime: must be greater than zero", id="no lifetime"),
        pytest.param({"sessions": {"store": "memory://", "idle_timeout": "0s"}},
                     "sessions.idle_timeout: must be greater than zero", id="no idle time-out"),
        pytest.param({"sessions": {"store": "memory://", "lifetime": "1h", "idle_timeout": "2h"}},
                     "sessions.idle_timeout: is longer than `sessions.lifetime`", id="idle too long"),
        pytest.param({"sessions": {"store": "memory://", "grace": "2d"}},
                     "sessions.grace: is longer than `sessions.lifetime`", id="grace too long"),
        pytest.param({"identity_providers": {"corp": {**PROVIDER, "scopes": ["email"]}}},
                     "identity_providers.corp.scopes: must include `openid`", id="no openid"),
        pytest.param({"identity_providers": {"corp": {**PROVIDER, "require_verified_email": True,
                                                      "allow_unverified_email": True}}},
                     "identity_providers.corp.require_verified_email: contradicts"
                     " `allow_unverified_email`", id="two rules for addresses"),
        pytest.param({"identity_providers": {"flow-eu": PROVIDER}},
                     "identity_providers.flow-eu: this name is reserved for a cookie of the sidecar, choose"
                     " another", id="provider named as a cookie"),
        pytest.param({"default_identity_provider": "crop"},
                     "default_identity_provider: there is no identity provider `crop`,"
                     " configured are: `corp`", id="unknown default"),
        pytest.param({"identity_providers": {"a": PROVIDER, "b": PROVIDER}},
                     "identity_providers: `default_identity_provider` is required with several"
                     " providers, the route `https://a.example.com` names none", id="several providers"),
        pytest.param({"identity_providers": {}},
                     "identity_providers: the route `https://a.example.com` requires sign-in, but"
                     " there is no identity provider", id="no provider"),
        pytest.param({"token_issuers": {"corp": ISSUER}},
                     "token_issuers.corp: has the same name as an identity provider", id="two of a name"),
        pytest.param({"token_issuers": {"ci": {**ISSUER, "leeway": "6m"}}},
                     "token_issuers.ci.leeway: must be at most `5m`", id="clocks far apart"),
        pytest.param({"token_issuers": {"ci": {**ISSUER, "max_lifetime": "0s"}}},
                     "token_issuers.ci.max_lifetime: must be greater than zero", id="tokens for no time"),
        pytest.param({"token_issuers": {"ci": {**ISSUER, "introspection": {**ASKED, "cache": "10m"}}}},
                     "token_issuers.ci.introspection.cache: must be at most `5m`", id="long cache"),
        pytest.param({"token_issuers": {"ci": {**ISSUER, "introspection": ASKED, "types": "jwt"}}},
                     "token_issuers.ci.types: has no effect with `introspection`", id="type unread"),
        pytest.param({"token_issuers": {"ci": {**ISSUER, "issuer": "http://localhost:1",
                                               "bearer_token_file": "/token"}}},
                     "token_issuers.ci.bearer_token_file: would be sent without encryption",
                     id="token sent openly"),
        pytest.param({"server": {"auth_host": "http://auth.example.com"}},
                     "server.auth_host: must be https", id="http sign-in"),
        pytest.param({"server": {"auth_host": "https://auth.example.com"},
                      "sessions": {"store": "memory://", "cookie": {"domain": "example.com"}}},
                     "sessions.cookie.domain: cannot be combined with `server.auth_host`",
                     id="two ways to share"),
        pytest.param({"sessions": {"store": "memory://", "cookie": {"domain": "example.org"}}},
                     "routes[0].from: `a.example.com` is outside `sessions.cookie.domain`",
                     id="outside the cookie's domain"),
        pytest.param({"sessions": {"store": "memory://", "cookie": {"domain": "ple.com"}}},
                     "routes[0].from: `a.example.com` is outside `sessions.cookie.domain`",
                     id="a suffix is no domain"),
        pytest.param({"headers": {"claims": {"Cookie": "x"}}},
                     "headers.claims.Cookie: `Cookie` is a reserved header name", id="reserved header"),
        pytest.param({"headers": {"claims": {"X-Forwarded-Host": "x"}}},
                     "headers.claims.X-Forwarded-Host: `X-Forwarded-Host` is a reserved header name",
                     id="reserved family"),
        pytest.param({"headers": {"claims": {"X-A": "x", "x-a": "y"}}},
                     "headers.claims.x-a: differs from `X-A` in spelling only", id="two spellings"),
        pytest.param({"headers": {"groups": ["all", "eng"]}},
                     "headers.groups: must be `policy`, `all`, or a list of names, not a mixture",
                     id="mixed groups"),
        pytest.param({"server": {"client_certificate": {"header": "Cookie", "format": "nginx"}}},
                     "server.client_certificate.header: `Cookie` is a reserved header name", id="certificate"),
        pytest.param({"routes": [{**ROUTE, "set_request_headers": {"Authorization": "x"}}]},
                     "routes[0].set_request_headers.Authorization: `Authorization` is a reserved",
                     id="a header of the client's own"),
        pytest.param({"routes": [{**ROUTE, "set_request_headers": {"X-A": "x", "x-a": "y"}}]},
                     "routes[0].set_request_headers.x-a: differs from `X-A` in spelling only",
                     id="two spellings on a route"),
        pytest.param({"assertion": {"ttl": "0s"}}, "assertion.ttl: must be between `1s` and `1d`",
                     id="no time to live"),
        pytest.param({"assertion": {"signing_keys": ["abc"]}},
                     "assertion.signing_keys[0]: is not a private key in PEM", id="no PEM"),
        pytest.param({"server": {"nginx_cache": "1500ms"}},
                     "server.nginx_cache: must be whole seconds, at most 60", id="half a second"),
        pytest.param({"server": {"nginx_cache": "2m"}, "assertion": {"ttl": "1h"}},
                     "server.nginx_cache: must be whole seconds, at most 60", id="repeated for long"),
        pytest.param({"server": {"nginx_cache": "5s", "adapters": ["envoy"]}},
                     "server.nginx_cache: needs `nginx` in", id="repeated by nobody"),
        pytest.param({"server": {"nginx_cache": "30s"}},
                     "server.nginx_cache: must be shorter than a tenth of `assertion.ttl`",
                     id="repeated longer than an assertion lasts"),
        pytest.param({"server": {"nginx_cache": "10s"},
                      "sessions": {"store": "memory://", "idle_timeout": "90s"}},
                     "server.nginx_cache: must be shorter than a tenth of `sessions.idle_timeout`",
                     id="repeated until idle"),
        pytest.param({"routes": [{**ROUTE, "identity": "none"}]},
                     "routes[0].identity: applies to routes with", id="identity on a protected route"),
    ],
)  # fmt: skip
def test_one_problem(sections: dict[str, Any], problem: str) -> None:
    [found] = problems(**sections)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param({"server": {"listen": "0.0.0.0:9180", "trusted_proxies": ["10.0.0.0/8"]}},
                     id="open, with proxies named"),
        pytest.param({"server": {"listen": "unix:/a", "web_listen": "unix:/b"}}, id="sockets"),
        pytest.param({"server": {"ops_listen": "0.0.0.0:9999"}}, id="open to operators"),
        pytest.param({"server": {"listen": "127.0.0.1:0", "web_listen": "127.0.0.1:0"}},
                     id="ports of the system's choice"),
        pytest.param({"server": {"listen": "127.0.0.1:1", "web_listen": "127.0.0.2:1"}},
                     id="one port on two addresses"),
        pytest.param({"identity_providers": {},
                      "routes": [{"from": "https://a.example.com",
                                  "allow_public_unauthenticated_access": True}]}, id="public alone"),
        pytest.param({"identity_providers": {}, "token_issuers": {"ci": ISSUER},
                      "routes": [{**ROUTE, "token_issuers": "ci"}]}, id="programs alone"),
        pytest.param({"identity_providers": {"a": PROVIDER, "b": PROVIDER},
                      "routes": [{**ROUTE, "identity_provider": ["a", "b"]}]},
                     id="every route names its own"),
        pytest.param({"identity_providers": {"a": PROVIDER, "b": PROVIDER},
                      "default_identity_provider": "a"}, id="a default"),
        pytest.param({"server": {"auth_host": "http://auth.localhost:8080"}}, id="loopback sign-in"),
        pytest.param({"server": {"auth_host": "http://a.example.com", "allow_insecure_http": True}},
                     id="http on purpose"),
        pytest.param({"sessions": {"store": "memory://", "cookie": {"domain": "example.com"}},
                      "routes": [{**ROUTE, "from": "https://*.apps.example.com"},
                                 {**ROUTE, "from": "https://example.com"}]}, id="inside the domain"),
        pytest.param({"sessions": {"store": "memory://", "lifetime": "10m"}},
                     id="the default of the other is no mistake"),
        pytest.param({"headers": {"groups": ["a", "b"], "claims": {"X-Department": "department"}}},
                     id="headers"),
    ],
)  # fmt: skip
def test_allowed(sections: dict[str, Any]) -> None:
    assert problems(**sections) == []


@pytest.mark.parametrize(
    ("sections", "warning"),
    [
        pytest.param({"routes": [{**ROUTE, "set_request_headers": {"X-A": "a $other.thing"}}]},
                     "routes[0].set_request_headers.X-A: `${other.thing}` is not a known reference",
                     id="no reference"),
        pytest.param({"routes": [{**ROUTE, "set_request_headers":
                                  {"X-A": "$pomerium.client_cert_san_dns"}}]},
                     "routes[0].set_request_headers.X-A: `${pomerium.client_cert_san_dns}` is empty",
                     id="no certificates"),
        pytest.param({"token_issuers": {"ci": ISSUER}}, "token_issuers.ci: no route accepts its tokens",
                     id="unused issuer"),
        pytest.param({"token_issuers": {"ci": GITHUB}, "routes": [{**ROUTE, "token_issuers": ["ci"]}]},
                     "routes[0].token_issuers: every client of `ci` passes",
                     id="open to the world"),
        pytest.param({"token_issuers": {"ci": {**ISSUER, "issuer": "https://idp.example.com",
                                               "audiences": ["x", "authz"]}},
                      "routes": [{**ROUTE, "token_issuers": ["ci"]}]},
                     "token_issuers.ci.audiences: `authz` is the client of an identity provider",
                     id="ID tokens"),
        pytest.param({"secret_keys": ["0" * 32]}, "secret_keys[0]: does not look random", id="zeros"),
        pytest.param({"server": {"trusted_proxies": ["0.0.0.0/0"]}},
                     "server.trusted_proxies[0]: `0.0.0.0/0` trusts a large part of the internet",
                     id="trusts everybody"),
        pytest.param({"server": {"auth_host": "http://auth.localhost"}},
                     "server.auth_host: sessions on `http://` have cookies without `Secure`",
                     id="http sign-in"),
        pytest.param({"routes": [{**ROUTE, "from": "http://a.localhost"}]},
                     "routes[0].from: sessions on `http://` have cookies without `Secure`", id="http"),
        pytest.param({"sessions": {"store": "memory://", "cookie": {"domain": "example.com"}}},
                     "sessions.cookie.domain: every host under `example.com` receives the session",
                     id="shared cookie"),
        pytest.param({"routes": []}, "routes: there are no routes", id="no routes"),
        pytest.param({"routes": [{"from": "https://a.example.com"}]}, "routes[0]: the route has no allow rule",
                     id="nobody"),
        pytest.param({"routes": [{**ROUTE, "prefix": "/.auth/x"}]},
                     "routes[0].prefix: is under `/.auth`", id="under our own path"),
        pytest.param({"policies": {"x": []}}, "policies.x: no route uses this policy", id="unused"),
        pytest.param({"server": {"nginx_cache": "5s"}},
                     "server.nginx_cache: users who sign out or lose access can pass nginx for up to 6"
                     " more seconds", id="repeated"),
        pytest.param({"server": {"client_certificate": {"header": "X-Cert", "format": "pem"}}},
                     "server.client_certificate.format: every certificate in this header counts"
                     " as verified", id="certificate without a verdict"),
        pytest.param({"server": {"strip_cookie": False}},
                     "server.strip_cookie: apps will receive the session's cookie", id="cookie shown"),
        pytest.param({"identity_providers": {"corp": {**PROVIDER, "allow_unverified_email": True}}},
                     "identity_providers.corp.allow_unverified_email: users who can enter",
                     id="unverified e-mail"),
        pytest.param({"identity_providers": {"corp": {"type": "google", "client_id": "x",
                                                      "callback": "own",
                                                      "require_verified_email": False}}},
                     "identity_providers.corp.require_verified_email: `google` says which",
                     id="e-mail of which nothing is said"),
        pytest.param({"identity_providers": {"corp": {
            "type": "azure", "client_id": "x", "callback": "own",
            "issuer": "https://login.microsoftonline.com/common/v2.0"}}},
                     "identity_providers.corp.issuer: accounts of every organisation can sign in",
                     id="every tenant"),
        pytest.param({"identity_providers": {"corp": PROVIDER,
                                             "hub": {"type": "github", "client_id": "x"}},
                      "routes": [{"from": "https://a.example.com",
                                  "identity_provider": ["corp", "hub"],
                                  "policy": {"allow": {"and": [{"groups": {"has": "eng"}}]}}}]},
                     "routes[0].identity_provider: users of `hub` can create a group",
                     id="groups that anybody makes"),
    ],
)  # fmt: skip
def test_one_warning(sections: dict[str, Any], warning: str) -> None:
    [found] = warnings(**sections)
    assert found.startswith(warning)
