"""Headers that applications and frameworks tend to trust and that must not reach them from a
client: the one list that the authorizer, the files of `deploy/` and the snippets are made from.

A name that the operator lets this service set (`headers.preset`, `headers.claims`,
`set_request_headers`) is replaced instead of removed.
"""

from __future__ import annotations

from typing import NamedTuple


class HeaderFamily(NamedTuple):
    """Headers that stand for the same thing.

    - `names`: in the letter case of their documentation.
    - `prefixes`: cover names that cannot be listed; a proxy that removes by exact name removes only
      those of `names`.
    """

    title: str
    names: tuple[str, ...]
    prefixes: tuple[str, ...] = ()


UNTRUSTED_FAMILIES = (
    HeaderFamily(
        "Another method",
        ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"),
    ),
    HeaderFamily(
        "Another path",
        (
            "X-Original-URL",
            "X-Original-URI",
            "X-Original-Path",
            "X-Rewrite-URL",
            "X-Override-URL",
            "X-Request-URI",
            "X-Script-Name",
            "X-Envoy-Original-Path",
            "X-Forwarded-Method",
            "X-Forwarded-Uri",
            "X-Forwarded-Path",
            "X-Forwarded-Prefix",
        ),
        ("X-Forwarded-", "X-Original-", "X-Envoy-"),
    ),
    HeaderFamily(
        "Another host or scheme",
        (
            "Forwarded",
            "X-Host",
            "X-Original-Host",
            "X-HTTP-Host-Override",
            "X-Scheme",
            "X-Url-Scheme",
            "Front-End-Https",
            "X-Forwarded-Port",
            "X-Forwarded-Server",
            "X-Forwarded-Scheme",
            "X-Forwarded-Protocol",
            "X-Forwarded-Ssl",
        ),
    ),
    HeaderFamily(
        "Another client address",
        (
            "X-Real-IP",
            "X-Client-IP",
            "Client-IP",
            "True-Client-IP",
            "X-Cluster-Client-IP",
            "X-Originating-IP",
            "X-ProxyUser-IP",
            "Proxy-Client-IP",
            "WL-Proxy-Client-IP",
            "X-Remote-Addr",
            "X-Remote-IP",
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "CF-Pseudo-IPv4",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "X-AppEngine-User-IP",
            "X-Azure-ClientIP",
            "X-Azure-SocketIP",
            "X-Envoy-External-Address",
        ),
    ),
    HeaderFamily(
        "A client certificate",
        (
            "X-Forwarded-Client-Cert",
            "X-Forwarded-Tls-Client-Cert",
            "X-Forwarded-Tls-Client-Cert-Info",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Client-Cert",
            "X-ARR-ClientCert",
            "SSL-Client-Cert",
            "SSL-Client-Verify",
            "SSL-Client-Subject-DN",
            "SSL-Client-Issuer-DN",
            "X-SSL-Cert",
            "X-SSL-Client-Cert",
            "X-SSL-Client-Verify",
            "X-SSL-Client-CN",
            "X-SSL-Client-DN",
            "X-SSL-Client-S-DN",
            "X-Amzn-Mtls-Clientcert",
        ),
        ("Client-Cert-", "SSL-Client-", "X-SSL-Client-", "X-Amzn-Mtls-Clientcert-"),
    ),
    HeaderFamily(
        "A user of another product",
        (
            "Remote-User",
            "Remote-Groups",
            "Remote-Email",
            "Remote-Name",
            "X-Remote-User",
            "X-Remote-Group",
            "X-Remote-Groups",
            "X-Remote-Email",
            "X-Remote-Name",
            "X-WebAuth-User",
            "X-WebAuth-Groups",
            "X-WebAuth-Email",
            "X-WebAuth-Name",
            "X-WebAuth-Role",
            "X-Forwarded-User",
            "X-Forwarded-Email",
            "X-Forwarded-Groups",
            "X-Forwarded-Preferred-Username",
            "X-Forwarded-Access-Token",
            "X-Auth-User",
            "X-Auth-Email",
            "X-Auth-Groups",
            "X-Auth-Name",
            "X-Auth-Assertion",
            "X-Auth-Username",
            "X-Auth-Roles",
            "X-Auth-Subject",
            "X-Auth-Request-User",
            "X-Auth-Request-Email",
            "X-Auth-Request-Groups",
            "X-Auth-Request-Preferred-Username",
            "X-Auth-Request-Access-Token",
            "X-authentik-username",
            "X-authentik-groups",
            "X-authentik-entitlements",
            "X-authentik-email",
            "X-authentik-name",
            "X-authentik-uid",
            "X-authentik-jwt",
            "X-Pomerium-Jwt-Assertion",
            "X-Pomerium-Claim-User",
            "X-Pomerium-Claim-Email",
            "X-Pomerium-Claim-Groups",
            "X-Pomerium-Claim-Name",
            "X-Vouch-User",
            "Cf-Access-Jwt-Assertion",
            "Cf-Access-Authenticated-User-Email",
            "X-Goog-Iap-Jwt-Assertion",
            "X-Goog-Authenticated-User-Email",
            "X-Goog-Authenticated-User-Id",
            "X-Amzn-Oidc-Data",
            "X-Amzn-Oidc-Identity",
            "X-Amzn-Oidc-Accesstoken",
            "X-MS-Client-Principal",
            "X-MS-Client-Principal-Id",
            "X-MS-Client-Principal-Name",
            "X-MS-Client-Principal-Idp",
            "X-MS-Token-AAD-Id-Token",
            "X-MS-Token-AAD-Access-Token",
            "X-Consumer-Username",
            "X-Consumer-Id",
            "X-Consumer-Custom-Id",
            "X-Consumer-Groups",
            "X-Authenticated-Userid",
            "X-Authenticated-Groups",
            "X-Credential-Identifier",
            "Tailscale-User-Login",
            "Tailscale-User-Name",
        ),
        (
            "Remote-",
            "X-Remote-",
            "X-WebAuth-",
            "X-Auth-",
            "X-authentik-",
            "X-Pomerium-",
            "X-Vouch-",
            "Cf-Access-",
            "X-Goog-Iap-",
            "X-Goog-Authenticated-User-",
            "X-Amzn-Oidc-",
            "X-MS-Client-Principal-",
            "X-MS-Token-",
            "X-Consumer-",
            "X-Authenticated-",
            "Tailscale-User-",
        ),
    ),
    HeaderFamily("Another proxy for the application's own requests", ("Proxy",)),
)

UNTRUSTED_NAMES = tuple(name for family in UNTRUSTED_FAMILIES for name in family.names)
UNTRUSTED_PREFIXES = tuple(prefix for family in UNTRUSTED_FAMILIES for prefix in family.prefixes)


def removed_names(managed: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the untrusted names without those of `managed`, which are replaced instead of
    removed."""
    managed_lowercase = {name.lower() for name in managed}
    return tuple(name for name in UNTRUSTED_NAMES if name.lower() not in managed_lowercase)
