"""The login request: what a login is for, parsed from the query of `start` or from a sealed
parameter that one of our own hosts wrote.

Refuses malformed input. Nothing in the query is trusted until the routes confirm it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.step_up import MAX_STEP_UP_REQUEST_BYTES, AuthenticationRequirement
from authz_sidecar.errors import BadReturnUrl, TransactionLost
from authz_sidecar.login.error_pages import OTHER_KEYS, LoginError, wrong_central_host
from authz_sidecar.login.http import BadRequest, single_parameter
from authz_sidecar.login.step_up import is_plain_request_line

if TYPE_CHECKING:
    from authz_sidecar.core.redirects import ReturnUrl
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest, Pairs
    from authz_sidecar.login.transactions import Sealer

HANDOFF_PURPOSE = "hand-over request"
HANDOFF_SECONDS = 60
CHOICE_PURPOSE = "provider choice"
CHOICE_SECONDS = 600
HOST_CHAIN_PURPOSE = "walk"
HOST_CHAIN_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginIntent:
    """What a login is for. It travels between our own pages and hosts, sealed and short-lived.

    `flow`: the hash of the transaction on the host that the central host does the login for; None
    elsewhere.
    `round`: which attempt this is, from 1.
    `shortened`: whether the return URL was cut off because it was too long.
    `switch`: whether the user wants another account.
    `issuer`: the `iss` that a third party asked for (OpenID Connect Core, 4); it does not choose
    the provider.
    `provider`: the provider that was chosen; used only if the route of `return_to` allows it.
    `asked`: method and path of the request that needs a step-up, where it is not the page of
    `return_to`.
    `step_up`: the requirement that this request has.
    `user`: the fingerprint of the user who has to step up.
    `wish`: the requirement that a first login should satisfy, so that no second one follows.
    `walk`: the remaining steps of a host chain, followed by its last URL.
    """

    return_to: str
    flow: str | None = None
    round: int = 1
    shortened: bool = False
    switch: bool = False
    login_hint: str | None = None
    issuer: str | None = None
    provider: str | None = None
    asked: str = ""
    step_up: AuthenticationRequirement | None = None
    user: str = ""
    wish: AuthenticationRequirement | None = None
    walk: tuple[str, ...] = ()


def seal_intent(
    intent: LoginIntent, keys: Sealer, *, purpose: str, origin: Origin, expires_at: float
) -> str:
    """Return the intent sealed for one purpose, which only `origin` can open; `expires_at` in Unix
    seconds."""
    data = json.dumps([expires_at, asdict(intent)], separators=(",", ":")).encode()
    return keys.seal_text(purpose, data, associated_data=str(origin).encode())


def open_intent(
    sealed: str, keys: Sealer, *, purpose: str, origin: Origin, now: float
) -> tuple[LoginIntent, bool] | None:
    """Return the intent and whether it has not expired, or None when it was not sealed for this
    purpose and origin."""
    data = keys.open_text(purpose, sealed, associated_data=str(origin).encode())
    if data is None:
        return None
    expires_at, fields = json.loads(data)
    step_up, wish = fields.pop("step_up", None), fields.pop("wish", None)
    walk = tuple(fields.pop("walk", ()))
    intent = LoginIntent(
        **fields,
        step_up=step_up and step_up_from_json(step_up),
        wish=wish and step_up_from_json(wish),
        walk=walk,
    )
    return intent, now < expires_at


def step_up_from_json(fields: dict[str, Any]) -> AuthenticationRequirement:
    """Return a requirement from its JSON form, which comes from sealed data."""
    return AuthenticationRequirement(
        max_age=fields["max_age"], acr=tuple(fields["acr"]), amr=tuple(fields["amr"])
    )


_HINT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class LoginRequestParser:
    """Parses what the query of `start` asks for."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    def parse_query(self, request: LoginRequest, pairs: Pairs) -> LoginIntent:
        """Return the intent in an unsealed query, which anyone may have written. Raises
        `BadRequest`, and `BadReturnUrl` for a return URL that is not ours."""
        context = self._context
        return_to = single_parameter(pairs, "rd")
        # OpenID Connect Core, 4: a third party names the target and the issuer in these parameters.
        target = single_parameter(pairs, "target_link_uri")
        return_to = target if return_to is None else return_to
        hint, issuer, round_text = (
            single_parameter(pairs, name) for name in ("login_hint", "iss", "attempt")
        )
        protected_request = single_parameter(pairs, "for") or ""
        if return_to is None:
            return_to = context.default_url(request.origin)
        if hint is not None and not _HINT.fullmatch(hint):
            raise BadRequest("unusable login_hint")
        if round_text is not None and not re.fullmatch(r"[0-9]{1,2}", round_text):
            raise BadRequest("unusable attempt number")
        if protected_request and (
            len(protected_request) > MAX_STEP_UP_REQUEST_BYTES
            or not is_plain_request_line(protected_request)
        ):
            raise BadRequest("unusable question")
        return_url = context.return_urls.parse(return_to, base_origin=request.origin)
        walk: tuple[str, ...] = ()
        if protected_request and request.origin not in {return_url.origin, context.auth_host}:
            # A page of another host made this request, so the login has to take place here.
            walk, return_url = (
                (return_url.url,),
                self._protected_return_url(protected_request, request),
            )
        return LoginIntent(
            return_to=return_url.url,
            walk=walk,
            shortened=return_url.is_truncated or single_parameter(pairs, "shortened") == "1",
            round=max(1, int(round_text or 1)),
            switch=single_parameter(pairs, "switch") == "1",
            login_hint=hint,
            issuer=issuer,
            asked=protected_request,
        )

    def _protected_return_url(self, protected_request: str, request: LoginRequest) -> ReturnUrl:
        """Return the URL of the request that needs a step-up, or the root when it is not a valid
        return URL."""
        _, _, path = protected_request.partition(" ")
        try:
            return self._context.return_urls.parse(path, base_origin=request.origin)
        except BadReturnUrl:
            return self._context.return_urls.parse("/", base_origin=request.origin)

    def open_sealed(self, request: LoginRequest, pairs: Pairs) -> LoginIntent | None:
        """Return the intent in a sealed parameter, or None when there is none.

        Raises `BadRequest` for more than one sealed parameter, and `LoginError` for one that has
        expired, is not ours, or arrived on another host.
        """
        context = self._context
        names = {HANDOFF_PURPOSE: "request", CHOICE_PURPOSE: "choice", HOST_CHAIN_PURPOSE: "walk"}
        sealed = {purpose: single_parameter(pairs, name) for purpose, name in names.items()}
        present = [(purpose, text) for purpose, text in sealed.items() if text is not None]
        if not present:
            return None
        if len(present) > 1:
            raise BadRequest("more than one sealed request")
        if present[0][0] == HANDOFF_PURPOSE and request.origin != context.auth_host:
            raise wrong_central_host(request.origin, context.auth_host)
        purpose, text = present[0]
        opened = open_intent(
            text, context.keys, purpose=purpose, origin=request.origin, now=context.clock()
        )
        if opened is None:
            raise LoginError(
                BadRequest("sealed request is not ours"), retry=None, hints=(OTHER_KEYS,)
            )
        intent, is_fresh = opened
        if not is_fresh:
            retry = (
                context.revalidate_return_url(intent.walk[-1], origin=request.origin)
                if intent.walk
                else context.start_url(intent.return_to, round_number=intent.round + 1)
            )
            raise LoginError(TransactionLost("sealed request has expired"), retry=retry)
        return intent
