"""Step-up authentication: asking the provider for a more recent or stronger login, and checking
that it did so.

Does not know which policy requires it. A provider that does not deliver ends on a page, never in
another redirect. RFC 9470 describes the same for API clients.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote

from authz_sidecar.core.types import Allow, CheckRequest, Deny, RequestAttribute, step_up_of
from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import BadProxyRequest, LoginRefused

if TYPE_CHECKING:
    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import Decision, Identity
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.interfaces import DecisionPreview

_ATTRIBUTES = frozenset(
    {
        RequestAttribute.METHOD,
        RequestAttribute.PATH,
        RequestAttribute.QUERY,
        RequestAttribute.CLIENT_ADDRESS,
        RequestAttribute.HEADERS,
    }
)
_CLOCK = "The clock of the identity provider, or of this service, is wrong."


class StepUpNotSatisfied(LoginRefused):
    """The user logged in, but not as recently or as strongly as required."""

    public_message = "You signed in, but not in the way that this page asks for."


def preview_decision(
    request: LoginRequest,
    identity: Identity,
    preview: DecisionPreview,
    *,
    address: str,
    protected_request: str,
) -> Decision:
    """Return what a check would decide for this user at a URL.

    `protected_request`: method and path of the request that needs the login, where it is not the
    page at `address`; empty otherwise.
    """
    try:
        return preview.decide(_check_request(request, address, protected_request), identity)
    except BadProxyRequest:
        return Deny(frozenset({"bad-request"}))


def receives_identity(
    request: LoginRequest, identity: Identity, preview: DecisionPreview, *, address: str
) -> bool:
    """Whether the application at a URL would receive this user's identity."""
    try:
        return preview.receives_identity(_check_request(request, address, ""), identity)
    except BadProxyRequest:
        return False


def preferred_requirement(
    request: LoginRequest, preview: DecisionPreview, *, address: str, protected_request: str
) -> AuthenticationRequirement | None:
    """Return the requirement that a first login should satisfy, so that no second one follows; None
    for no requirement."""
    try:
        return preview.anticipated_step_up(_check_request(request, address, protected_request))
    except BadProxyRequest:
        return None


def _check_request(request: LoginRequest, address: str, protected_request: str) -> CheckRequest:
    origin, target = parse_url(address)
    path, mark, query = target.partition("?")
    method, given = "GET", query if mark else None
    if protected_request:
        method, _, path = protected_request.partition(" ")
        given = None
    return CheckRequest(
        adapter="start",
        method=method,
        origin=origin,
        path=path,
        query=given,
        client=request.client,
        headers=tuple(line for line in request.headers if line[0] != "cookie"),
        attributes=_ATTRIBUTES,
    )


def step_up_for(decision: Decision) -> AuthenticationRequirement | None:
    """Return the step-up that would turn this decision into access, or None."""
    return None if isinstance(decision, Allow) else step_up_of(decision)


def authentication_parameters(
    step_up: AuthenticationRequirement, *, prompt_login: bool
) -> dict[str, str]:
    """Return the parameters of the authentication request (OpenID Connect Core, 3.1.2.1). There is
    no parameter for `amr`.

    `prompt_login`: whether the provider must not reuse its own session.
    """
    parameters = {}
    if step_up.acr:
        parameters["acr_values"] = " ".join(step_up.acr)
    if step_up.max_age is not None:
        # 3.1.2.1: with it, "the OP MUST attempt to actively re-authenticate the End-User" who did
        # so longer ago; and 2: it makes `auth_time` required.
        parameters["max_age"] = str(int(step_up.max_age))
    if prompt_login:
        parameters["prompt"] = "login"
    return parameters


def needs_prompt_login(step_up: AuthenticationRequirement, *, round_number: int) -> bool:
    """Whether the request needs `prompt=login`: for `acr` and `amr`, which the provider's own session
    could otherwise satisfy unchanged, and after a first attempt. `max_age` alone needs none.

    `round_number`: which attempt this is, from 1.
    """
    return bool(step_up.acr or step_up.amr) or round_number > 1


def check_step_up(
    step_up: AuthenticationRequirement, identity: Identity, *, now: float
) -> tuple[str, ...]:
    """Return why the identity does not satisfy the requirement, as sentences for the user; empty
    when it does (OpenID Connect Core, 3.1.3.7, steps 12 and 13, for `acr` and `auth_time`; likewise
    `amr`)."""
    missing = step_up.unmet_by(identity, now=now)
    if missing is None:
        return ()
    causes = []
    if missing.acr:
        reported = "none" if identity.acr is None else _quoted(identity.acr)
        required = " or ".join(map(_quoted, missing.acr))
        causes.append(
            f"This page requires the level {required}, the identity provider reported {reported}:"
            " your account may lack a second factor, or the provider does not know this level."
        )
    if missing.amr:
        reported = ", ".join(map(_quoted, identity.amr)) or "none"
        required = " and ".join(map(_quoted, missing.amr))
        causes.append(
            f"This page requires a sign-in by {required}, the identity provider reported {reported}:"
            " sign in by another method, if it offers one."
        )
    if missing.max_age is not None:
        if identity.authenticated_at is None:
            causes.append(
                "The identity provider does not say when you signed in (auth_time), so it"
                " is unknown how long ago that was."
            )
        else:
            ago = now - identity.authenticated_at
            causes.append(
                f"You have to have signed in less than {_span(missing.max_age)} ago; the identity"
                f" provider says that it was {_span(ago)} ago, and did not ask you again."
            )
            causes.append(_CLOCK)
    return tuple(causes)


def _quoted(text: str) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{text:.60}\N{RIGHT DOUBLE QUOTATION MARK}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


def user_fingerprint(identity: Identity) -> str:
    """Return a hash that identifies the user without revealing who it is."""
    user = f"{identity.provider}\0{identity.issuer}\0{identity.subject}".encode()
    return urlsafe_b64encode(hashlib.sha256(user).digest()[:15]).decode()


def is_same_user(fingerprint: str, identity: Identity) -> bool:
    """Whether the fingerprint is this user's."""
    return hmac.compare_digest(fingerprint, user_fingerprint(identity))


def is_plain_request_line(text: str) -> bool:
    """Whether `text` is a method and a plain path, as our own challenges write them."""
    method, space, path = text.partition(" ")
    return (
        bool(space)
        and method.isalpha()
        and method.isascii()
        and path.startswith("/")
        and path.isascii()
        and path.isprintable()
        and " " not in path
        and "?" not in path
        and unquote(path, encoding="latin-1").isprintable()
    )
