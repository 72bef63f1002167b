"""A table of Pomerium Core's options outside routes, with the disposition of each.

It is applied before anything is converted; converters correct it where a value matters.
"""

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

_ONE_PROCESS = "one process answers here, there are no services to connect"
_NO_TRACING = "tracing is not there yet: follow a request by its id in the logs"
_NO_SSH = "SSH is not HTTP: keep Pomerium or another bastion for it"
_NO_MCP = "MCP needs the body of a request, which is not read yet: keep Pomerium for these routes"
_NO_BRANDING = "the pages have one look"


OPTIONS: Mapping[str, Disposition] = {
    # Routes.
    "routes": translated("routes"),
    "policy": translated("routes, the older name of the list"),
    "policy_file": unsupported("put its routes into this file and import again", decisive=True),
    # Secrets and keys.
    **for_options(
        "shared_secret shared_secret_file",
        translated("secret_keys, by reference: make a new one with `authz-sidecar keys new`",
                   secret=True),
    ),
    **for_options(
        "signing_key signing_key_file",
        translated("assertion.signing_keys, by reference; PEM of an EC key on P-256", secret=True),
    ),
    **for_options(
        "cookie_secret cookie_secret_file",
        not_needed("cookies hold random numbers, `secret_keys` seals the rest", secret=True),
    ),
    # Sign-in.
    "authenticate_service_url": translated("server.auth_host"),
    "authenticate_callback_path": not_needed("the callback is `<base_path>/callback/NAME`, by the name of the provider"),
    **for_options(
        "idp_provider idp_provider_url idp_client_id idp_scopes", translated("identity_providers")
    ),
    **for_options(
        "idp_client_secret idp_client_secret_file",
        translated("identity_providers, by reference", secret=True),
    ),
    "idp_request_params": translated("identity_providers.NAME.authorization_parameters"),
    "idp_access_token_allowed_audiences": unsupported(BEARER_ADVICE),
    "idp_refresh_directory_interval": not_needed("groups come with the sign-in"),
    "idp_refresh_directory_timeout": not_needed("groups come with the sign-in"),
    "idp_service_account": unsupported(
        "groups come from the provider's claims: have it send them, and set"
        " `identity_providers.NAME.claims.groups`",
        secret=True,
    ),
    "bearer_token_format": unsupported(BEARER_ADVICE, decisive=True),
    "identity_providers": unsupported(BEARER_ADVICE, decisive=True),
    "programmatic_redirect_domain_whitelist": unsupported(
        "command-line clients cannot sign in yet"
    ),
    "signout_redirect_url": unsupported("a sign-out ends on the sidecar's own page"),
    # Sessions.
    "cookie_name": translated("sessions.cookie.name"),
    "cookie_domain": translated("sessions.cookie.domain"),
    "cookie_expire": translated("sessions.lifetime"),
    "cookie_same_site": translated("sessions.cookie.same_site"),
    "cookie_http_only": not_needed("scripts never see the cookie"),
    "cookie_secure": not_needed("the cookie is `Secure` on every https host"),
    # What applications receive.
    "jwt_claims_headers": translated("headers.claims"),
    "jwt_groups_filter": translated("headers.groups"),
    "jwt_issuer_format": not_needed("the issuer of the assertion is the host"),
    "pass_identity_headers": translated("headers: identity headers are always passed"),
    "set_request_headers": unsupported("say it per route"),
    "remove_request_headers": left_to_proxy(ProxyFeature.REQUEST_HEADERS, "remove these from every request"),
    **for_options(
        "set_response_headers headers",
        left_to_proxy(ProxyFeature.RESPONSE_HEADERS, "set these on every answer; `disable` turned off Pomerium's own"),
    ),
    # The front.
    "address": left_to_proxy(ProxyFeature.LISTENER, "listen there"),
    "insecure_server": left_to_proxy(ProxyFeature.LISTENER, "listen without TLS"),
    "http_redirect_addr": left_to_proxy(ProxyFeature.LISTENER, "redirect http to https there"),
    "codec_type": left_to_proxy(ProxyFeature.LISTENER, "the versions of HTTP to speak"),
    "use_proxy_protocol": left_to_proxy(ProxyFeature.LISTENER, "expect the PROXY protocol there"),
    **for_options(
        "certificate certificate_file certificates",
        left_to_proxy(ProxyFeature.LISTENER, "serve this certificate", secret=True),
    ),
    **for_options(
        "certificate_key certificate_key_file",
        left_to_proxy(ProxyFeature.LISTENER, "its key", secret=True),
    ),
    **for_options(
        "autocert autocert_ca autocert_email autocert_use_staging autocert_must_staple"
        " autocert_dir autocert_trusted_ca autocert_trusted_ca_file autocert_eab_key_id",
        left_to_proxy(ProxyFeature.LISTENER, "have the proxy, or certbot, get certificates"),
    ),
    "autocert_eab_mac_key": left_to_proxy(
        ProxyFeature.LISTENER, "have the proxy, or certbot, get certificates", secret=True
    ),
    "downstream_mtls": left_to_proxy(
        ProxyFeature.CLIENT_CERTIFICATES,
        "require and verify client certificates: no policy here asks for them on its own",
        decisive=True,
    ),
    **for_options(
        "client_ca client_ca_file client_crl client_crl_file",
        left_to_proxy(ProxyFeature.CLIENT_CERTIFICATES, "require and verify client certificates", decisive=True),
    ),
    **for_options("timeout_read timeout_write timeout_idle", left_to_proxy(ProxyFeature.TIMEOUTS, "of connections")),
    "default_upstream_timeout": left_to_proxy(ProxyFeature.TIMEOUTS, "of applications"),
    "allow_upgrades": left_to_proxy(ProxyFeature.UPGRADES, "of every route"),
    "circuit_breaker_thresholds": left_to_proxy(ProxyFeature.UPSTREAM, "limits toward applications"),
    "dns_lookup_family": left_to_proxy(ProxyFeature.UPSTREAM, "how names of applications are resolved"),
    **for_options(
        "dns_failure_refresh_rate dns_query_timeout dns_query_tries dns_refresh_rate"
        " dns_udp_max_queries dns_use_tcp",
        left_to_proxy(ProxyFeature.UPSTREAM, "how names of applications are resolved"),
    ),
    **for_options(
        "certificate_authority certificate_authority_file",
        left_to_proxy(ProxyFeature.UPSTREAM_TLS, "the authority that applications' certificates come from"),
    ),
    **for_options(
        "skip_xff_append xff_num_trusted_hops",
        left_to_proxy(ProxyFeature.CLIENT_ADDRESS, "the content of `X-Forwarded-For`; list the networks of proxies"
              " before yours in `server.trusted_hops`"),
    ),
    **for_options("access_log_fields proxy_log_level", left_to_proxy(ProxyFeature.LOGS, "of requests")),
    # Operations.
    "log_level": not_needed("`authz-sidecar serve --log-level`"),
    "authorize_log_fields": not_needed("the record of a check has all of it"),
    "metrics_address": translated("server.ops_listen"),
    **for_options(
        "metrics_basic_auth metrics_certificate metrics_certificate_key metrics_certificate_file"
        " metrics_certificate_key_file metrics_client_ca metrics_client_ca_file",
        unsupported("metrics are plain HTTP on `server.ops_listen`: keep it on loopback", secret=True),
    ),
    **for_options("health_check_addr health_check_systemd_disabled", not_needed("`server.ops_listen`")),
    **for_options(
        "tracing_sample_rate tracing_provider tracing_debug tracing_otlp_endpoint"
        " tracing_otlp_protocol tracing_datadog_address tracing_jaeger_collector_endpoint"
        " tracing_jaeger_agent_endpoint tracing_zipkin_endpoint otel_traces_exporter"
        " otel_traces_sampler_arg otel_resource_attributes otel_log_level otel_attribute_value_length_limit"
        " otel_exporter_otlp_endpoint otel_exporter_otlp_traces_endpoint otel_exporter_otlp_protocol"
        " otel_exporter_otlp_traces_protocol otel_exporter_otlp_headers"
        " otel_exporter_otlp_traces_headers otel_exporter_otlp_timeout"
        " otel_exporter_otlp_traces_timeout otel_bsp_schedule_delay otel_bsp_max_export_batch_size",
        unsupported(_NO_TRACING),
    ),
    # What one process has no use for.
    **for_options(
        "services installation_id pomerium_debug debug_address authenticate_internal_service_url"
        " authorize_service_url authorize_service_urls authorize_internal_service_url"
        " override_certificate_name tls_derive grpc_address grpc_insecure grpc_client_timeout"
        " grpc_client_dns_roundrobin config_hot_reload auto_apply_changesets blob_storage",
        not_needed(_ONE_PROCESS),
    ),
    **for_options(
        "databroker_service_url databroker_service_urls databroker_internal_service_url"
        " databroker_storage_type databroker_cluster_leader_id databroker_cluster_node_id"
        " databroker_cluster_nodes databroker_raft_bind_address databroker_storage_ca_file"
        " databroker_storage_cert_file databroker_storage_key_file databroker_storage_tls_skip_verify",
        not_needed("sessions are kept in `sessions.store`"),
    ),
    **for_options(
        "databroker_storage_connection_string databroker_storage_connection_string_file",
        not_needed("sessions are kept in `sessions.store`", secret=True),
    ),
    **for_options(
        "envoy_admin_access_log_path envoy_admin_profile_path envoy_admin_address"
        " envoy_bind_config_source_address envoy_bind_config_freebind envoy_log_level",
        not_needed("there is no Envoy inside"),
    ),
    "google_cloud_serverless_authentication_service_account": unsupported(
        "have the proxy add Google's token", secret=True
    ),
    "runtime_flags": not_needed("there is nothing to switch"),
    **for_options(
        "primary_color secondary_color darkmode_primary_color darkmode_secondary_color logo_url"
        " favicon_url error_message_first_paragraph branding",
        unsupported(_NO_BRANDING),
    ),
    # Other protocols.
    **for_options(
        "ssh_address ssh_host_key_files ssh_user_ca_key_file ssh_rls_enabled"
        " ssh_rls_additional_entries",
        unsupported(_NO_SSH),
    ),
    **for_options("ssh_host_keys ssh_user_ca_key", unsupported(_NO_SSH, secret=True)),
    **for_options(
        "mcp_allowed_client_id_domains mcp_allowed_as_metadata_domains", unsupported(_NO_MCP)
    ),
    "session_recording": unsupported(_NO_SSH),
}  # fmt: skip
