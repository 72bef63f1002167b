"""Converts what applications receive: claim headers, group filters and header templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.config.checks.headers import is_settable_header
from authz_sidecar.config.value_parsers import parse_header_name
from authz_sidecar.core.header_template import parse_header_template
from authz_sidecar.migrate.pomerium.go_values import parse_go_bool, parse_string_list
from authz_sidecar.migrate.pomerium.report import (
    ConversionReport,
    DocumentPath,
    ProxyFeature,
    left_to_proxy,
    translated,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PRESET_CLAIMS = {"user", "email", "groups", "name"}
_CONFIDENTIAL_WORDS = ("key", "token", "secret", "password", "credential", "authorization", "auth")


def convert_headers(
    options: Mapping[str, Any], routes: Iterable[Mapping[str, Any]], report: ConversionReport
) -> dict[str, Any]:
    """Return the section `headers`. Group filters of all routes are combined."""
    section: dict[str, Any] = {"preset": "pomerium", "groups": "all"}
    groups = parse_string_list(options.get("jwt_groups_filter"))
    for route in routes:
        groups += parse_string_list(route.get("jwt_groups_filter"))
    if groups:
        section["groups"] = list(dict.fromkeys(groups))
    if claims := _claim_headers(options.get("jwt_claims_headers"), report):
        section["claims"] = claims
    return section


def _claim_headers(given: object, report: ConversionReport) -> dict[str, str]:
    """The headers by claim: a list names claims, a map headers; those of the preset are left
    out."""
    if isinstance(given, dict):
        claims_by_header = {str(header): str(claim) for header, claim in given.items()}
    else:
        claims_by_header = {
            f"X-Pomerium-Claim-{'-'.join(word.capitalize() for word in claim.split('-'))}": claim
            for claim in parse_string_list(given)
            if claim not in _PRESET_CLAIMS
        }
    valid = {}
    for header, claim in claims_by_header.items():
        try:
            valid[parse_header_name(header)] = claim
        except ValueError as error:
            disposition = unsupported(f"{error}: choose a name in `headers.claims` for `{claim}`")
            report.record(("jwt_claims_headers",), disposition, given)
    return valid


def convert_request_headers(
    route: Mapping[str, Any], route_path: DocumentPath, report: ConversionReport
) -> dict[str, Any]:
    """Return `set_request_headers` of one route. Fixed values that look confidential become
    references."""
    given = route.get("set_request_headers")
    path = (*route_path, "set_request_headers")
    result: dict[str, Any] = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        header, text = str(name), str(value)
        confidential = "$" not in text and any(
            word in header.lower() for word in _CONFIDENTIAL_WORDS
        )
        header_path = (*path, header)
        try:
            parse_header_name(header)
            parse_header_template(text)
        except ValueError as error:
            report.record(header_path, unsupported(str(error), secret=confidential), text)
            continue
        if not is_settable_header(header):
            disposition = left_to_proxy(
                ProxyFeature.REQUEST_HEADERS, "set this", secret=confidential or "$" not in text
            )
            if "$" in text:
                disposition = unsupported(
                    f"`{header}` cannot be filled in here: choose another name"
                )
            report.record(header_path, disposition, text)
            continue
        result[header] = text
        if confidential:
            variable = f"AUTHZ_HEADER_{header.upper().replace('-', '_')}"
            result[header] = {"env": variable}
            where = f"set_request_headers, by reference: the value belongs into `{variable}`"
            report.record(header_path, translated(where, secret=True), text)
    return result


def passes_identity_headers(options: Mapping[str, Any], route: Mapping[str, Any]) -> bool:
    """Whether a route passes identity headers on: its own setting overrides the global one, and the
    default is no."""
    route_setting = route.get("pass_identity_headers")
    return parse_go_bool(
        options.get("pass_identity_headers") if route_setting is None else route_setting
    )
