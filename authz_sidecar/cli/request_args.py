"""Command-line options that describe a request and an identity, and their parsers."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.protocol_upgrade import requests_unsupported_upgrade
from authz_sidecar.core.types import CheckRequest, Identity
from authz_sidecar.core.urls import MalformedUrl, Origin, iri_to_uri, parse_url
from authz_sidecar.policy.test_cases import UNSPECIFIED_USER
from authz_sidecar.routes.model import PASSWORD_FILE, SERVICE_ACCOUNTS

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address, RequestAttribute
    from authz_sidecar.routes import RouteIndex

ClaimValues = dict[str, object]


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a request."""
    request = parser.add_argument_group("request")
    request.add_argument("--url", required=True, type=_parse_url, help="the requested URL")
    request.add_argument("--method", default="GET", help="the HTTP method (default: %(default)s)")
    request.add_argument(
        "--ip", type=_parse_address, metavar="ADDRESS", help="the client's address"
    )
    request.add_argument(
        "--header",
        action="append",
        default=[],
        type=_parse_header,
        metavar="'NAME: VALUE'",
        help="a request header; may be repeated",
    )
    request.add_argument(
        "--at",
        type=_parse_time,
        metavar="TIME",
        help="the time of the request, such as 2026-03-05T08:00:00Z (default: now)",
    )


def add_identity_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe an identity."""
    identity = parser.add_argument_group(
        "identity", "without any of these, the client is not signed in"
    )
    identity.add_argument("--user", metavar="ID", help="the user's id at the provider")
    identity.add_argument("--email", metavar="ADDRESS", help="the user's e-mail address")
    identity.add_argument(
        "--groups", type=parse_comma_separated, metavar="A,B", help="the user's groups"
    )
    add_claim_option(identity)
    identity.add_argument(
        "--provider",
        metavar="NAME",
        help="the identity provider or token issuer, or `service-account` or `htpasswd`"
        " (default: the first of the route)",
    )
    identity.add_argument(
        "--signed-in-at", type=_parse_time, metavar="TIME", help="when the user signed in"
    )
    identity.add_argument("--acr", help="the authentication context class (`acr`) of the sign-in")
    identity.add_argument(
        "--amr",
        type=parse_comma_separated,
        metavar="A,B",
        help="the authentication methods (`amr`) of the sign-in",
    )


def build_request(
    arguments: argparse.Namespace, *, facts: frozenset[RequestAttribute]
) -> CheckRequest:
    """Return the request that the options describe. `facts` are the attributes that the adapters
    deliver."""
    origin, target = arguments.url
    path, mark, query = target.partition("?")
    headers: tuple[tuple[str, str], ...] = tuple(arguments.header)
    return CheckRequest(
        adapter="command line",
        method=arguments.method,
        origin=origin,
        path=path,
        query=query if mark else None,
        client=arguments.ip,
        headers=headers,
        websocket=any(
            name == "upgrade" and "websocket" in value.lower() for name, value in headers
        ),
        unsupported_upgrade=requests_unsupported_upgrade(headers),
        attributes=facts,
    )


def evaluation_time(arguments: argparse.Namespace) -> float:
    """Return the Unix time of `--at`, or the current one."""
    timestamp: float | None = arguments.at
    return time.time() if timestamp is None else timestamp


def build_identity(
    arguments: argparse.Namespace, request: CheckRequest, index: RouteIndex
) -> Identity | None:
    """Return the identity that the options describe, or None for an anonymous client."""
    options = (arguments.user, arguments.email, arguments.groups, arguments.provider)
    if not any(value is not None for value in options) and not arguments.claim:
        return None
    claims: ClaimValues = dict(arguments.claim)
    provider = arguments.provider or default_provider(request, index)
    is_local_account = provider in {SERVICE_ACCOUNTS, PASSWORD_FILE}
    is_service = is_local_account or any(provider in route.token_issuers for route in index.routes)
    user = arguments.user or UNSPECIFIED_USER
    return Identity(
        provider=provider,
        issuer="",
        subject=f"{provider}/{user.removeprefix(f'{provider}/')}" if is_service else user,
        is_service=is_service,
        email=arguments.email,
        groups=arguments.groups or (),
        claims=claims,
        authenticated_at=arguments.signed_in_at,
        acr=arguments.acr,
        amr=arguments.amr or (),
    )


def default_provider(request: CheckRequest, index: RouteIndex) -> str:
    """Return the first provider of the route that matches the request's path, else its first token
    issuer, else an empty text."""
    route = index.match(request.origin, request.path)
    return next(iter((*route.providers, *route.token_issuers)), "") if route is not None else ""


def _parse_url(text: str) -> tuple[Origin, str]:
    try:
        # Browsers do not send the fragment.
        return parse_url(iri_to_uri(text.partition("#")[0]))
    except MalformedUrl as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _parse_address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not an address") from None


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"`{text}` is not a header such as `x-team: blue`")
    return name.strip().lower(), value.strip()


def add_claim_option(options: argparse._ActionsContainer) -> None:
    """Add `--claim NAME=VALUE`, which may be repeated."""
    options.add_argument(
        "--claim",
        action="append",
        default=[],
        type=_parse_claim,
        metavar="NAME=VALUE",
        help="a claim, its value in YAML; may be repeated",
    )


def _parse_claim(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not a claim such as `department=it`")
    document = parse_yaml(value, file="claim")
    return name, value if document.problems else document.data


def parse_comma_separated(text: str) -> tuple[str, ...]:
    """Return the items of `a,b`, without blanks and empty ones."""
    return tuple(item for piece in text.split(",") if (item := piece.strip()))


def _parse_time(text: str) -> float:
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"`{text}` is not a time such as 2026-03-05T08:00:00Z"
        ) from None
