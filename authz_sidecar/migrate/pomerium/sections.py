"""The sections of our configuration outside routes: server, secrets, sessions, assertion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.config.value_parsers import (
    cookie_domain,
    cookie_name,
    duration_text,
    listen_address,
)
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.migrate.pomerium.go_values import says_nothing, seconds, truth
from authz_sidecar.migrate.pomerium.report import Ledger, not_needed, unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOSTED = "authenticate.pomerium.app"
_LIFETIME = "14h"


def server(options: Mapping[str, Any], ledger: Ledger) -> dict[str, Any]:
    section: dict[str, Any] = {}
    if (host := _auth_host(options, ledger)) is not None:
        section["auth_host"] = host
    address = options.get("metrics_address")
    if not says_nothing(address):
        text = str(address)
        text = f"0.0.0.0{text}" if text.startswith(":") else text  # noqa: S104 -- what was said
        try:
            section["ops_listen"] = str(listen_address(text))
        except ValueError as wrong:
            ledger.note(("metrics_address",), unsupported(str(wrong)), address)
    return section


def _auth_host(options: Mapping[str, Any], ledger: Ledger) -> str | None:
    written = options.get("authenticate_service_url")
    if says_nothing(written):
        return None
    path = ("authenticate_service_url",)
    try:
        origin, _ = parse_url(str(written))
    except MalformedUrl as wrong:
        ledger.note(path, unsupported(str(wrong)), written)
        return None
    if origin.host == _HOSTED:
        why = "people sign in at your own provider, on the host they asked for"
        ledger.note(path, not_needed(why), written)
        return None
    ledger.remark(
        f"register `{origin}/.auth/callback/NAME` as a redirect URI at the provider, by the name of"
        " its entry in `identity_providers`"
    )
    return str(origin)


def secret_keys(options: Mapping[str, Any]) -> list[dict[str, str]]:
    """References only. What a file holds keeps its place, what stood in the open gets a name."""
    if says_nothing(options.get("shared_secret")) and (file := options.get("shared_secret_file")):
        return [{"file": str(file)}]
    return [{"env": "AUTHZ_SECRET_KEY"}]


def signing_keys(options: Mapping[str, Any], ledger: Ledger) -> list[dict[str, str]]:
    if not says_nothing(options.get("signing_key")):
        reference = {"env": "AUTHZ_SIGNING_KEY"}
    elif not says_nothing(file := options.get("signing_key_file")):
        reference = {"file": str(file)}
    else:
        ledger.remark(
            "without a `signing_key` assertions are signed with another key than Pomerium's:"
            " applications find it at `/.well-known/pomerium/jwks.json`"
        )
        return []
    ledger.remark("the signing key has to be PEM of an EC key on P-256, not in base64")
    return [reference]


def sessions(options: Mapping[str, Any], ledger: Ledger, *, central: bool) -> dict[str, Any]:
    lifetime = _lifetime(options, ledger)
    # Pomerium knows no idle time-out.
    section: dict[str, Any] = {
        "store": "redis://127.0.0.1:6379/0",
        "lifetime": lifetime,
        "idle_timeout": lifetime,
    }
    if cookie := _cookie(options, ledger, central=central):
        section["cookie"] = cookie
    return section


def _lifetime(options: Mapping[str, Any], ledger: Ledger) -> str:
    written = options.get("cookie_expire")
    if says_nothing(written):
        return _LIFETIME
    found = seconds(written)
    if found is None or not 1 <= found <= 3650 * 86400:
        handling = unsupported("is no time between a second and ten years, it stays at `14h`")
        ledger.note(("cookie_expire",), handling, written)
        return _LIFETIME
    return duration_text(found)


def _cookie(options: Mapping[str, Any], ledger: Ledger, *, central: bool) -> dict[str, Any]:
    cookie: dict[str, Any] = {}
    if not says_nothing(name := options.get("cookie_name")):
        try:
            cookie["name"] = cookie_name(str(name))
        except ValueError as wrong:
            ledger.note(("cookie_name",), unsupported(f"{wrong}, it is `authz`"), name)
    if not says_nothing(domain := options.get("cookie_domain")):
        if central:
            why = "`server.auth_host` signs in every host, each with a cookie of its own"
            ledger.note(("cookie_domain",), not_needed(why), domain)
        else:
            try:
                cookie["domain"] = cookie_domain(str(domain))
            except ValueError as wrong:
                ledger.note(("cookie_domain",), unsupported(str(wrong)), domain)
    same_site = str(options.get("cookie_same_site") or "").lower()
    if same_site in ("lax", "strict"):
        cookie["same_site"] = same_site
    elif same_site:
        handling = unsupported("sessions are never sent along from other sites, it is `lax`")
        ledger.note(("cookie_same_site",), handling, options["cookie_same_site"])
    for key in ("cookie_http_only", "cookie_secure"):
        if key in options and not truth(options[key]):
            ledger.note((key,), unsupported("the cookie is always protected"), options[key])
    return cookie
