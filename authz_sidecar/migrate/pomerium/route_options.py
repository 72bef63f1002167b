"""A table of the options of a Pomerium route, with the disposition of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.migrate.pomerium.report import (
    BEARER_ADVICE,
    Disposition,
    ProxyFeature,
    for_options,
    left_to_proxy,
    not_needed,
    translated,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_PORTAL = "there is no list of applications to show it in"
_NO_MCP = "MCP needs the body of a request, which is not read yet: keep Pomerium for this route"


ROUTE_OPTIONS: Mapping[str, Disposition] = {
    "name": translated("name"),
    "from": translated("from"),
    **for_options("prefix path regex", translated("its path")),
    "regex_priority_order": not_needed("Pomerium orders routes of its database by it, never a file's"),
    **for_options(
        "allow_public_unauthenticated_access allow_any_authenticated_user cors_allow_preflight"
        " allowed_domains allowed_users allowed_idp_claims policy sub_policies",
        translated("policy"),
    ),
    "allowed_groups": unsupported(
        "write a policy with `groups`; Pomerium itself dropped this option", decisive=True
    ),
    "idp_client_id": translated("an identity provider of its own"),
    "idp_client_secret": translated("an identity provider of its own, by reference", secret=True),
    **for_options("set_request_headers", translated("set_request_headers")),
    "pass_identity_headers": translated("headers: identity headers are always passed"),
    "jwt_groups_filter": translated("headers.groups, for all hosts together"),
    "jwt_issuer_format": not_needed("the issuer of the assertion is the host"),
    "jwt_claims_headers": unsupported("say it in `headers.claims`, for all routes"),
    **for_options(
        "bearer_token_format idp_access_token_allowed_audiences identity_providers",
        unsupported(BEARER_ADVICE, decisive=True),
    ),
    "depends_on": translated("depends_on"),
    # The application.
    **for_options("to _to_weights load_balancing_weights", left_to_proxy(ProxyFeature.UPSTREAM, "where it is")),
    **for_options(
        "load_balancing_policy lb_policy lb_config envoy_opts health_checks outlier_detection"
        " circuit_breaker_thresholds healthy_panic_threshold",
        left_to_proxy(ProxyFeature.UPSTREAM, "load balancing and health checks"),
    ),
    **for_options(
        "prefix_rewrite regex_rewrite_pattern regex_rewrite_substitution",
        left_to_proxy(ProxyFeature.REWRITE, "of the path; the sidecar decides on the path before it is rewritten"),
    ),
    **for_options(
        "host_rewrite host_rewrite_header host_path_regex_rewrite_pattern"
        " host_path_regex_rewrite_substitution preserve_host_header",
        left_to_proxy(ProxyFeature.REWRITE, "of the host"),
    ),
    **for_options("timeout idle_timeout", left_to_proxy(ProxyFeature.TIMEOUTS, "of this route")),
    **for_options("allow_websockets allow_spdy allow_upgrades", left_to_proxy(ProxyFeature.UPGRADES, "of connections")),
    "redirect": left_to_proxy(ProxyFeature.RESPONSE, "redirect"),
    "response": left_to_proxy(ProxyFeature.RESPONSE, "answer with this"),
    "remove_request_headers": left_to_proxy(ProxyFeature.REQUEST_HEADERS, "remove these from requests"),
    "set_response_headers": left_to_proxy(ProxyFeature.RESPONSE_HEADERS, "set these on answers"),
    "rewrite_response_headers": left_to_proxy(ProxyFeature.RESPONSE_HEADERS, "rewrite these in answers"),
    **for_options(
        "tls_skip_verify tls_server_name tls_upstream_server_name tls_custom_ca tls_custom_ca_file"
        " tls_client_cert tls_client_cert_file tls_client_key_file"
        " tls_upstream_allow_renegotiation",
        left_to_proxy(ProxyFeature.UPSTREAM_TLS, "toward the application"),
    ),
    "tls_client_key": left_to_proxy(ProxyFeature.UPSTREAM_TLS, "toward the application", secret=True),
    "tls_downstream_server_name": left_to_proxy(ProxyFeature.LISTENER, "the name this route is reached under"),
    **for_options(
        "tls_downstream_client_ca tls_downstream_client_ca_file",
        left_to_proxy(ProxyFeature.CLIENT_CERTIFICATES, "require client certificates of this authority",
              decisive=True),
    ),
    **for_options(
        "kubernetes_service_account_token kubernetes_service_account_token_file",
        unsupported(
            "the API server needs the user's identity: have the proxy add the token and set"
            " `Impersonate-User` from the identity headers", decisive=True, secret=True),
    ),
    "enable_google_cloud_serverless_authentication": unsupported("have the proxy add Google's token"),
    # What is shown.
    **for_options("description logo_url", not_needed(_NO_PORTAL)),
    "show_error_details": not_needed("a refusal always names its reason"),
    # Other protocols.
    "mcp": unsupported(_NO_MCP, decisive=True),
    **for_options(
        "upstream_tunnel ssh_policy session_recording",
        unsupported("SSH is not HTTP: keep Pomerium or another bastion for it"),
    ),
}  # fmt: skip
