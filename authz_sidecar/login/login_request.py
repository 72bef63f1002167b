"""What a sign-in is for, as it travels between our own pages and hosts: sealed, and short-lived."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.step_up import MAX_STEP_UP_REQUEST_BYTES, AuthenticationRequirement
from authz_sidecar.errors import BadReturnUrl, TransactionLost
from authz_sidecar.login.error_pages import OTHER_KEYS, LoginError, wrong_central_host
from authz_sidecar.login.http import BadRequest, single_parameter
from authz_sidecar.login.step_up import is_readable_request

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
    """`flow` is the hash of the flow secret of the host this is done for; None for ourselves.
    `provider` is one that was chosen, `issuer` one that a third party asked for, which chooses
    nothing; neither is believed before the route of `return_to` agreed. `switch` asks for another account. `asked` is
    the question (method and path) that needs a step-up, where that is not the page of `return_to`;
    `step_up` is what it needs, and `user` who is signed in already; `wish` is what a first sign-in
    had better be. `walk` are the hosts that are
    to be signed in after this one, and last the address to end at."""

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
    """For `origin` alone to open."""
    data = json.dumps([expires_at, asdict(intent)], separators=(",", ":")).encode()
    return keys.seal_text(purpose, data, associated_data=str(origin).encode())


def open_intent(
    sealed: str, keys: Sealer, *, purpose: str, origin: Origin, now: float
) -> tuple[LoginIntent, bool] | None:
    """The errand and whether it is still fresh; None when it is not ours."""
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
    """Of data that we sealed ourselves."""
    return AuthenticationRequirement(
        max_age=fields["max_age"], acr=tuple(fields["acr"]), amr=tuple(fields["amr"])
    )


_HINT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class LoginRequestParser:
    def __init__(self, context: LoginContext) -> None:
        self._context = context

    def parse_query(self, request: LoginRequest, pairs: Pairs) -> LoginIntent:
        """Of what anybody may ask for: where to, and hints."""
        context = self._context
        raw = single_parameter(pairs, "rd")
        # OpenID Connect Core, 4: a third party names the target so, and the issuer it believes in.
        target = single_parameter(pairs, "target_link_uri")
        raw = target if raw is None else raw
        hint, issuer, round_text = (
            single_parameter(pairs, name) for name in ("login_hint", "iss", "attempt")
        )
        asked = single_parameter(pairs, "for") or ""
        if raw is None:
            raw = context.default_url(request.origin)
        if hint is not None and not _HINT.fullmatch(hint):
            raise BadRequest("unusable login_hint")
        if round_text is not None and not re.fullmatch(r"[0-9]{1,2}", round_text):
            raise BadRequest("unusable attempt number")
        if asked and (len(asked) > MAX_STEP_UP_REQUEST_BYTES or not is_readable_request(asked)):
            raise BadRequest("unusable question")
        address = context.return_urls.parse(raw, base_origin=request.origin)
        walk: tuple[str, ...] = ()
        if asked and request.origin not in {address.origin, context.auth_host}:
            # A page of another host asked something here: here is where somebody has to sign in.
            walk, address = (address.url,), self._protected_return_url(asked, request)
        return LoginIntent(
            return_to=address.url,
            walk=walk,
            shortened=address.is_truncated or single_parameter(pairs, "shortened") == "1",
            round=max(1, int(round_text or 1)),
            switch=single_parameter(pairs, "switch") == "1",
            login_hint=hint,
            issuer=issuer,
            asked=asked,
        )

    def _protected_return_url(self, asked: str, request: LoginRequest) -> ReturnUrl:
        """Where the question went, as far as anybody may be sent there."""
        _, _, path = asked.partition(" ")
        try:
            return self._context.return_urls.parse(path, base_origin=request.origin)
        except BadReturnUrl:
            return self._context.return_urls.parse("/", base_origin=request.origin)

    def open_sealed(self, request: LoginRequest, pairs: Pairs) -> LoginIntent | None:
        """Of what only we can have asked for."""
        context = self._context
        names = {HANDOFF_PURPOSE: "request", CHOICE_PURPOSE: "choice", HOST_CHAIN_PURPOSE: "walk"}
        sealed = {purpose: single_parameter(pairs, name) for purpose, name in names.items()}
        given = [(purpose, text) for purpose, text in sealed.items() if text is not None]
        if not given:
            return None
        if len(given) > 1:
            raise BadRequest("more than one sealed request")
        if given[0][0] == HANDOFF_PURPOSE and request.origin != context.auth_host:
            raise wrong_central_host(request.origin, context.auth_host)
        purpose, text = given[0]
        opened = open_intent(
            text, context.keys, purpose=purpose, origin=request.origin, now=context.clock()
        )
        if opened is None:
            raise LoginError(
                BadRequest("sealed request is not ours"), retry=None, hints=(OTHER_KEYS,)
            )
        intent, fresh = opened
        if not fresh:
            retry = (
                context.revalidate_return_url(intent.walk[-1], origin=request.origin)
                if intent.walk
                else context.start_url(intent.return_to, round_number=intent.round + 1)
            )
            raise LoginError(TransactionLost("sealed request has expired"), retry=retry)
        return intent
