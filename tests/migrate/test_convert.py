from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_sidecar.config.checks.providers import check_provider as problems_of_provider
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.types import CheckRequest, Deny
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.migrate.pomerium import format_report, to_yaml
from authz_sidecar.migrate.pomerium.options import OPTIONS
from authz_sidecar.migrate.pomerium.policies import DENY_ALL
from authz_sidecar.migrate.pomerium.providers import PROVIDER_CONVERSIONS
from authz_sidecar.migrate.pomerium.report import ConversionOutcome, ProxyFeature
from authz_sidecar.migrate.pomerium.report_text import FEATURE_DIRECTIVES
from authz_sidecar.migrate.pomerium.route_options import ROUTE_OPTIONS
from authz_sidecar.migrate.pomerium.yaml_writer import _flow
from authz_sidecar.policy import decide
from tests.migrate.importer import PEM, convert_options, convert_text, load_converted

HERE = Path(__file__).parent
SAMPLES = sorted((HERE / "samples").glob("*.yaml"))

# As Pomerium Core documents them and its source names them, without what it squashes in from
# elsewhere under another name.
GLOBAL = """
access_log_fields address allow_upgrades authenticate_callback_path authenticate_internal_service_url
authenticate_service_url authorize_internal_service_url authorize_log_fields authorize_service_url
authorize_service_urls auto_apply_changesets autocert autocert_ca autocert_dir autocert_eab_key_id
autocert_eab_mac_key autocert_email autocert_must_staple autocert_trusted_ca
autocert_trusted_ca_file autocert_use_staging bearer_token_format blob_storage certificate
certificate_authority certificate_authority_file certificate_file certificate_key
certificate_key_file certificates circuit_breaker_thresholds codec_type config_hot_reload
cookie_domain cookie_expire cookie_http_only cookie_name cookie_same_site cookie_secret
cookie_secret_file databroker_internal_service_url databroker_service_url databroker_service_urls
databroker_storage_connection_string databroker_storage_connection_string_file
databroker_storage_type debug_address default_upstream_timeout dns_lookup_family downstream_mtls
envoy_admin_access_log_path envoy_admin_address envoy_admin_profile_path
envoy_bind_config_freebind envoy_bind_config_source_address
google_cloud_serverless_authentication_service_account grpc_address grpc_client_timeout
grpc_insecure headers health_check_addr http_redirect_addr identity_providers
idp_access_token_allowed_audiences idp_client_id idp_client_secret idp_client_secret_file
idp_provider idp_provider_url idp_request_params idp_scopes insecure_server installation_id
jwt_claims_headers jwt_groups_filter jwt_issuer_format log_level mcp_allowed_as_metadata_domains
mcp_allowed_client_id_domains metrics_address metrics_basic_auth metrics_certificate
metrics_certificate_file metrics_certificate_key metrics_certificate_key_file metrics_client_ca
metrics_client_ca_file override_certificate_name pass_identity_headers policy policy_file
pomerium_debug programmatic_redirect_domain_whitelist proxy_log_level routes runtime_flags services
set_response_headers shared_secret shared_secret_file signing_key signing_key_file
signout_redirect_url skip_xff_append ssh_address ssh_host_key_files ssh_host_keys
ssh_rls_additional_entries ssh_rls_enabled ssh_user_ca_key ssh_user_ca_key_file timeout_idle
timeout_read timeout_write tls_derive tracing_otlp_endpoint tracing_otlp_protocol tracing_provider
tracing_sample_rate use_proxy_protocol xff_num_trusted_hops
"""
ROUTE = """
_to_weights allow_any_authenticated_user allow_public_unauthenticated_access allow_spdy
allow_upgrades allow_websockets allowed_domains allowed_idp_claims allowed_users
bearer_token_format circuit_breaker_thresholds cors_allow_preflight depends_on description
enable_google_cloud_serverless_authentication from health_checks healthy_panic_threshold
host_path_regex_rewrite_pattern host_path_regex_rewrite_substitution host_rewrite
host_rewrite_header identity_providers idle_timeout idp_access_token_allowed_audiences
idp_client_id idp_client_secret jwt_groups_filter jwt_issuer_format
kubernetes_service_account_token kubernetes_service_account_token_file load_balancing_policy
logo_url mcp name outlier_detection pass_identity_headers path policy prefix prefix_rewrite
preserve_host_header redirect regex regex_priority_order regex_rewrite_pattern
regex_rewrite_substitution remove_request_headers response rewrite_response_headers
session_recording set_request_headers set_response_headers show_error_details ssh_policy
sub_policies timeout tls_client_cert tls_client_cert_file tls_client_key tls_client_key_file
tls_custom_ca tls_custom_ca_file tls_downstream_client_ca tls_downstream_client_ca_file
tls_downstream_server_name tls_server_name tls_skip_verify tls_upstream_allow_renegotiation
tls_upstream_server_name to upstream_tunnel
"""


def test_every_option_of_pomerium_is_known() -> None:
    assert not set(GLOBAL.split()) - OPTIONS.keys()
    assert not set(ROUTE.split()) - ROUTE_OPTIONS.keys()


def test_proxy_work_has_a_place_in_every_proxys_files() -> None:
    for handling in (*OPTIONS.values(), *ROUTE_OPTIONS.values()):
        assert (handling.proxy_feature is None) == (
            handling.outcome is not ConversionOutcome.PROXY_WORK
        )
        assert handling.text
    assert FEATURE_DIRECTIVES.keys() == set(ProxyFeature)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_load(sample: Path) -> None:
    config, built = load_converted(convert_text(sample.read_text()), HERE)
    assert len(built.index.routes) == len(config.routes)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=5)),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    st.sampled_from(["https://a.example.com", "https://*.example.com", "30s", "/a", "google", "a=b"]),
)  # fmt: skip
KEYS = st.one_of(st.sampled_from(sorted(ROUTE_OPTIONS)), st.text(min_size=1, max_size=6))
ROUTES = st.lists(
    st.dictionaries(KEYS, VALUES, max_size=6).map(
        lambda route: {"from": "https://app.example.com"} | route
    ),
    max_size=4,
)
TOP = st.one_of(
    st.sampled_from(sorted(OPTIONS.keys() - {"routes", "policy"})), st.text(min_size=1, max_size=6)
)


@settings(max_examples=50)
@given(st.dictionaries(TOP, VALUES, max_size=8), ROUTES, ROUTES)
def test_every_key_is_accounted_for(
    options: dict[str, Any], routes: list[dict[str, Any]], older: list[dict[str, Any]]
) -> None:
    result = convert_options({**options, "routes": routes, "policy": older})
    told = format_report(result)
    for key in options:
        assert (key.lower(),) in result.report.entries
    for name, each in (("routes", routes), ("policy", older)):
        for place, route in enumerate(each):
            for key in route:
                entry = result.report.entries[name, place, key.lower()]
                assert entry.disposition.text
                if key in ROUTE_OPTIONS:
                    assert key in told
    assert parse_yaml(to_yaml(result, source="x"), file="").problems == ()


@settings(max_examples=50)
@given(ROUTES)
def test_whatever_routes_say_the_result_loads(routes: list[dict[str, Any]]) -> None:
    load_converted(convert_options({"idp_provider": "google", "routes": routes}), HERE)


def test_secrets_are_nowhere() -> None:
    secret = "hunter2" * 8
    hidden = [name for name, handling in OPTIONS.items() if handling.secret]
    of_route = [name for name, handling in ROUTE_OPTIONS.items() if handling.secret]
    options = dict.fromkeys((n for n in hidden if not n.endswith("_file")), secret)
    route = dict.fromkeys((n for n in of_route if not n.endswith("_file")), secret)
    result = convert_options({
        **options,
        "idp_provider": "google",
        "idp_client_id": "x",
        "shared_secrt": secret,
        "routes": [{
            "from": "https://a.example.com",
            "to": f"https://user:{secret}@a.internal",
            **route,
            "set_request_headers": {"X-Api-Key": secret, "Authorization": f"Basic {secret}"},
        }],
    })  # fmt: skip
    assert secret not in format_report(result)
    assert secret not in to_yaml(result, source="config.yaml")
    config, _ = load_converted(result, HERE)
    assert config.assertion.signing_keys[0].reveal() == PEM


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        pytest.param(["api.example.com"], ("https://api.example.com",), id="a host"),
        pytest.param(["api.example.com:443"], ("https://api.example.com",), id="the default port"),
        pytest.param("api.example.com,x.wild.example.com",
                     ("https://api.example.com", "https://x.wild.example.com"), id="one text"),
        pytest.param(["a.deep.wild.example.com"], ("https://a.deep.wild.example.com",),
                     id="deep below a pattern"),
        pytest.param(["wild.example.com"], (), id="what the pattern is below"),
        pytest.param(["api.example.com:8443"], (), id="another port"),
        pytest.param(["elsewhere.example"], (), id="a host without a route"),
        pytest.param(["https://api.example.com"], (), id="no host"),
        pytest.param(["API.example.com", "api.example.com"], ("https://api.example.com",),
                     id="twice"),
        pytest.param([f"{n}.wild.example.com" for n in range(6)],
                     tuple(f"https://{n}.wild.example.com" for n in range(5)), id="too many"),
    ],
)  # fmt: skip
def test_hosts_that_are_signed_in_together(named: str | list[str], kept: tuple[str, ...]) -> None:
    result = convert_options({
        "idp_provider": "google",
        "routes": [
            {"from": "https://app.example.com", "depends_on": named},
            {"from": "https://api.example.com"},
            {"from": "https://*.wild.example.com"},
        ],
    })  # fmt: skip
    config, built = load_converted(result, HERE)
    assert not built.problems
    assert tuple(map(str, config.routes[0].depends_on)) == kept
    noted = result.report.entries["routes", 0, "depends_on"].disposition.outcome
    count = len(named.split(",")) if isinstance(named, str) else len({it.lower() for it in named})
    assert (noted is ConversionOutcome.TRANSLATED) == (count == len(kept))


@pytest.mark.parametrize("kind", sorted(PROVIDER_CONVERSIONS))
def test_every_kind_of_provider(kind: str) -> None:
    result = convert_options({
        "idp_provider": kind, "idp_provider_url": "https://idp.example.com", "idp_client_id": "x",
        "idp_client_secret": "y",
    })  # fmt: skip
    config, _ = load_converted(result, HERE)
    provider = config.identity_providers[kind]
    assert provider.type == kind
    assert provider.issuer.startswith("https://idp.example.com")
    assert ("openid" in provider.scopes) == (kind != "github")
    assert result.needs_acceptance == (kind in {"azure", "github"})
    assert list(problems_of_provider(provider)) == []


@pytest.mark.parametrize(
    ("kind", "issuer"),
    [
        pytest.param("google", "https://accounts.google.com", id="google"),
        pytest.param("github", "https://github.com", id="github"),
        pytest.param("gitlab", "https://gitlab.com", id="gitlab"),
        pytest.param("apple", "https://appleid.apple.com", id="apple"),
        pytest.param("azure", "https://login.microsoftonline.com/common/v2.0", id="azure"),
        pytest.param("onelogin", "https://openid-connect.onelogin.com/oidc", id="onelogin"),
        pytest.param("okta", "https://idp.example.com", id="to be filled in"),
    ],
)
def test_an_issuer_that_pomerium_knew(kind: str, issuer: str) -> None:
    result = convert_options({"idp_provider": kind, "idp_client_id": "x"})
    config, _ = load_converted(result, HERE)
    assert config.identity_providers[kind].issuer == issuer
    assert ("fill in its issuer" in format_report(result)) == (kind == "okta")
    assert ("accounts of every organisation" in format_report(result)) == (kind == "azure")


def test_parameters_of_the_request_come_over() -> None:
    given = {"prompt": "login", "max_age": 60, "state": "x", "list": ["y"]}
    result = convert_options(
        {"idp_provider": "google", "idp_client_id": "x", "idp_request_params": given}
    )
    config, _ = load_converted(result, HERE)
    parameters = config.identity_providers["google"].authorization_parameters
    assert parameters == {"access_type": "offline", "prompt": "login", "max_age": "60"}
    assert "`state`, `list` cannot be set here" in format_report(result)


def test_scopes_of_the_configuration_win() -> None:
    result = convert_options(
        {"idp_provider": "github", "idp_client_id": "x", "idp_scopes": ["user:email"]}
    )
    config, _ = load_converted(result, HERE)
    assert config.identity_providers["github"].scopes == ("user:email",)


def test_the_default_provider_of_pomerium_is_to_be_filled_in() -> None:
    result = convert_options({"routes": []})
    assert "register a client" in format_report(result)
    config, _ = load_converted(result, HERE)
    assert config.identity_providers["idp"].client_id == "change-me"


@pytest.mark.parametrize(
    ("options", "section", "value"),
    [
        pytest.param({"cookie_expire": "8h30m"}, ("sessions", "lifetime"), 30600, id="lifetime"),
        pytest.param({"cookie_expire": "1.5h"}, ("sessions", "lifetime"), 5400, id="fraction"),
        pytest.param({"cookie_expire": "soon"}, ("sessions", "lifetime"), 50400, id="no time"),
        pytest.param({"cookie_expire": "8h"}, ("sessions", "idle_timeout"), 28800, id="never idle"),
        pytest.param({"cookie_domain": "example.com"}, ("sessions", "cookie", "domain"),
                     "example.com", id="domain"),
        pytest.param({"cookie_domain": "example.com",
                      "authenticate_service_url": "https://auth.example.com"},
                     ("sessions", "cookie", "domain"), None, id="no domain with a central host"),
        pytest.param({"cookie_same_site": "Strict"}, ("sessions", "cookie", "same_site"), "strict",
                     id="same site"),
        pytest.param({"cookie_same_site": "none"}, ("sessions", "cookie", "same_site"), "lax",
                     id="never from other sites"),
        pytest.param({"jwt_claims_headers": ["email", "given_name"]}, ("headers", "claims"), {},
                     id="a name that no header has"),
        pytest.param({"jwt_claims_headers": "email,department"}, ("headers", "claims"),
                     {"X-Pomerium-Claim-Department": "department"}, id="claims by name"),
        pytest.param({}, ("headers", "groups"), ("all",), id="all groups"),
        pytest.param({"authenticate_service_url": "https://authenticate.pomerium.app"},
                     ("server", "auth_host"), None, id="the vendor's host"),
    ],
)  # fmt: skip
def test_settings(options: dict[str, Any], section: tuple[str, ...], value: object) -> None:
    config, _ = load_converted(convert_options({"idp_provider": "google", **options}), HERE)
    found: Any = config
    for name in section:
        found = getattr(found, name)
    assert found == value


def test_filters_of_groups_add_up() -> None:
    routes = [{"from": "https://a.example.com", "jwt_groups_filter": ["b", "a"]}]
    config, _ = load_converted(
        convert_options({"jwt_groups_filter": ["a"], "routes": routes}), HERE
    )
    assert config.headers.groups == ("a", "b")


def test_what_cannot_be_carried_over_refuses() -> None:
    result = convert_text((HERE / "samples" / "left.yaml").read_text())
    told = format_report(result)
    _, built = load_converted(result, HERE)
    for host in ("https://device", "https://rego", "http://plain", "https://percent"):
        origin = parse_origin(f"{host}.example.com")
        request = CheckRequest(adapter="nginx", method="GET", origin=origin, path="/")
        route = built.index.match(origin, "/")
        decision = None if route is None else decide(route.policy, request, None, now=0)
        assert decision is None or isinstance(decision, Deny), host
    for said in (
        "DECIDE FIRST",
        "cookie_htp_only: is left out: unknown option `cookie_htp_only`",
        "did you mean `cookie_http_only`?",
        "`tcp+https` is not HTTP",
        "only `*.` in front of a name is a pattern here",
        "contains `%`",
        "no path begins like this",
        "Rego is not read",
        "contradicts `allow_public_unauthenticated_access`",
        "`user` is the number of the account here",
        "require and verify client certificates",
    ):
        assert said in told, said
    assert "redis.example.com" not in to_yaml(result, source="x")


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("allow_any_authenticated_user: yes", "is not `true` or `false`"),
        ("cors_allow_preflight: [true]", "is not `true` or `false`"),
        ("allowed_users: {ann: true}", "is not a list of names"),
        ("allowed_users: [{ann: true}]", "is not a list of names"),
        ("allowed_domains: 5", "is not a list of names"),
        ("allowed_domains: ['']", "is not a list of names"),
        ("allowed_idp_claims: [groups]", "is not a map of claims"),
        ("allowed_idp_claims: {'': a}", "is not a map of claims"),
        ("sub_policies: {a: 1}", "is not a list"),
    ],
)
def test_what_pomerium_would_not_load_refuses(option: str, why: str) -> None:
    text = f"routes: [{{from: https://a.example.com, to: http://a, {option}}}]"
    result = convert_text(text)
    (route,) = result.data["routes"]
    assert route["policy"] == DENY_ALL
    assert f"{why}; the route refuses every request" in format_report(result)


def test_a_sub_policy_of_text_counts_and_its_compiled_form_does_not() -> None:
    result = convert_text((HERE / "samples" / "left.yaml").read_text())
    (route,) = [it for it in result.data["routes"] if it["from"] == "https://ppl.example.com"]
    assert route["policy"] == [
        {
            "allow": {
                "or": [
                    {"domain": {"is": "example.org"}},
                    {"claim/department": "it"},
                    {"user": {"is": "ann@example.com"}},
                    {"email": {"is": "ann@example.com"}},
                ]
            }
        },
        {"allow": {"or": [{"email": {"is": "bob@example.com"}}]}},
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_written_is_what_is_read(value: object) -> None:
    read = parse_yaml(_flow(value), file="")
    assert not read.problems
    assert read.data == value
