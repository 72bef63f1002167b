"""Converts the sections outside routes: server, secrets, sessions and assertion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.config.value_parsers import (
    format_duration,
    parse_cookie_domain,
    parse_cookie_name,
    parse_listen_address,
)
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.migrate.pomerium.go_values import is_unset, parse_go_bool, parse_go_duration
from authz_sidecar.migrate.pomerium.report import ConversionReport, not_needed, unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOSTED_AUTHENTICATE = "authenticate.pomerium.app"
_DEFAULT_LIFETIME = "14h"


def convert_server(options: Mapping[str, Any], report: ConversionReport) -> dict[str, Any]:
    """Return the section `server`."""
    section: dict[str, Any] = {}
    if (host := _auth_host(options, report)) is not None:
        section["auth_host"] = host
    address = options.get("metrics_address")
    if not is_unset(address):
        text = str(address)
        text = f"0.0.0.0{text}" if text.startswith(":") else text  # noqa: S104 -- what was said
        try:
            section["ops_listen"] = str(parse_listen_address(text))
        except ValueError as error:
            report.record(("metrics_address",), unsupported(str(error)), address)
    return section


def _auth_host(options: Mapping[str, Any], report: ConversionReport) -> str | None:
    url = options.get("authenticate_service_url")
    if is_unset(url):
        return None
    path = ("authenticate_service_url",)
    try:
        origin, _ = parse_url(str(url))
    except MalformedUrl as error:
        report.record(path, unsupported(str(error)), url)
        return None
    if origin.host == _HOSTED_AUTHENTICATE:
        reason = "users sign in at your own provider, on the host that they requested"
        report.record(path, not_needed(reason), url)
        return None
    report.add_remark(
        f"register `{origin}/.auth/callback/NAME` as a redirect URI at the provider, by the name of"
        " its entry in `identity_providers`"
    )
    return str(origin)


def convert_secret_keys(options: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return references for `secret_keys`: a file stays a file, a value in the configuration
    becomes an environment variable."""
    if is_unset(options.get("shared_secret")) and (file := options.get("shared_secret_file")):
        return [{"file": str(file)}]
    return [{"env": "AUTHZ_SECRET_KEY"}]


def convert_signing_keys(
    options: Mapping[str, Any], report: ConversionReport
) -> list[dict[str, str]]:
    """Return references for `assertion.signing_keys`."""
    if not is_unset(options.get("signing_key")):
        reference = {"env": "AUTHZ_SIGNING_KEY"}
    elif not is_unset(file := options.get("signing_key_file")):
        reference = {"file": str(file)}
    else:
        report.add_remark(
            "without a `signing_key` assertions are signed with another key than Pomerium's:"
            " applications find it at `/.well-known/pomerium/jwks.json`"
        )
        return []
    report.add_remark("the signing key has to be PEM of an EC key on P-256, not in base64")
    return [reference]


def convert_sessions(
    options: Mapping[str, Any], report: ConversionReport, *, has_auth_host: bool
) -> dict[str, Any]:
    """Return the section `sessions`."""
    lifetime = _lifetime(options, report)
    # Pomerium knows no idle time-out.
    section: dict[str, Any] = {
        "store": "redis://127.0.0.1:6379/0",
        "lifetime": lifetime,
        "idle_timeout": lifetime,
    }
    if cookie := _cookie(options, report, has_auth_host=has_auth_host):
        section["cookie"] = cookie
    return section


def _lifetime(options: Mapping[str, Any], report: ConversionReport) -> str:
    expiry = options.get("cookie_expire")
    if is_unset(expiry):
        return _DEFAULT_LIFETIME
    seconds = parse_go_duration(expiry)
    if seconds is None or not 1 <= seconds <= 3650 * 86400:
        disposition = unsupported("is no time between a second and ten years, it stays at `14h`")
        report.record(("cookie_expire",), disposition, expiry)
        return _DEFAULT_LIFETIME
    return format_duration(seconds)


def _cookie(
    options: Mapping[str, Any], report: ConversionReport, *, has_auth_host: bool
) -> dict[str, Any]:
    cookie: dict[str, Any] = {}
    if not is_unset(name := options.get("cookie_name")):
        try:
            cookie["name"] = parse_cookie_name(str(name))
        except ValueError as error:
            report.record(("cookie_name",), unsupported(f"{error}, it is `authz`"), name)
    if not is_unset(domain := options.get("cookie_domain")):
        if has_auth_host:
            reason = "`server.auth_host` signs in every host, each with a cookie of its own"
            report.record(("cookie_domain",), not_needed(reason), domain)
        else:
            try:
                cookie["domain"] = parse_cookie_domain(str(domain))
            except ValueError as error:
                report.record(("cookie_domain",), unsupported(str(error)), domain)
    same_site = str(options.get("cookie_same_site") or "").lower()
    if same_site in ("lax", "strict"):
        cookie["same_site"] = same_site
    elif same_site:
        disposition = unsupported("sessions are never sent along from other sites, it is `lax`")
        report.record(("cookie_same_site",), disposition, options["cookie_same_site"])
    for key in ("cookie_http_only", "cookie_secure"):
        if key in options and not parse_go_bool(options[key]):
            report.record((key,), unsupported("the cookie is always protected"), options[key])
    return cookie
