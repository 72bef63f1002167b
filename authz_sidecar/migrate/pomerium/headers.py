"""What applications are told: claim headers, group filters and header templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.config.checks.headers import is_ours
from authz_sidecar.config.value_parsers import header_name
from authz_sidecar.core.header_template import parse_header_template
from authz_sidecar.migrate.pomerium.go_values import texts, truth
from authz_sidecar.migrate.pomerium.report import (
    Ledger,
    Path,
    Work,
    proxy,
    translated,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PRESET = {"user", "email", "groups", "name"}
_CONFIDENTIAL = ("key", "token", "secret", "password", "credential", "authorization", "auth")


def headers(
    options: Mapping[str, Any], routes: Iterable[Mapping[str, Any]], ledger: Ledger
) -> dict[str, Any]:
    section: dict[str, Any] = {"preset": "pomerium", "groups": "all"}
    wanted = texts(options.get("jwt_groups_filter"))
    for route in routes:
        wanted += texts(route.get("jwt_groups_filter"))
    if wanted:
        section["groups"] = list(dict.fromkeys(wanted))
    if claims := _claim_headers(options.get("jwt_claims_headers"), ledger):
        section["claims"] = claims
    return section


def _claim_headers(given: object, ledger: Ledger) -> dict[str, str]:
    """A list names claims, a map headers; the headers of the preset need no word."""
    if isinstance(given, dict):
        named = {str(header): str(claim) for header, claim in given.items()}
    else:
        named = {
            f"X-Pomerium-Claim-{'-'.join(word.capitalize() for word in claim.split('-'))}": claim
            for claim in texts(given)
            if claim not in _PRESET
        }
    sound = {}
    for header, claim in named.items():
        try:
            sound[header_name(header)] = claim
        except ValueError as wrong:
            handling = unsupported(f"{wrong}: choose a name in `headers.claims` for `{claim}`")
            ledger.note(("jwt_claims_headers",), handling, given)
    return sound


def templates(route: Mapping[str, Any], at: Path, ledger: Ledger) -> dict[str, Any]:
    """`set_request_headers` of one route. Fixed values that look confidential go by reference."""
    given = route.get("set_request_headers")
    path = (*at, "set_request_headers")
    result: dict[str, Any] = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        header, text = str(name), str(value)
        confidential = "$" not in text and any(word in header.lower() for word in _CONFIDENTIAL)
        here = (*path, header)
        try:
            header_name(header)
            parse_header_template(text)
        except ValueError as wrong:
            ledger.note(here, unsupported(str(wrong), secret=confidential), text)
            continue
        if not is_ours(header):
            handling = proxy(
                Work.REQUEST_HEADERS, "set this", secret=confidential or "$" not in text
            )
            if "$" in text:
                handling = unsupported(f"`{header}` cannot be filled in here: choose another name")
            ledger.note(here, handling, text)
            continue
        result[header] = text
        if confidential:
            variable = f"AUTHZ_HEADER_{header.upper().replace('-', '_')}"
            result[header] = {"env": variable}
            where = f"set_request_headers, by reference: the value belongs into `{variable}`"
            ledger.note(here, translated(where, secret=True), text)
    return result


def identity_is_passed(options: Mapping[str, Any], route: Mapping[str, Any]) -> bool:
    """The route's word comes before that of all; nothing is passed where neither says so."""
    said = route.get("pass_identity_headers")
    return truth(options.get("pass_identity_headers") if said is None else said)
