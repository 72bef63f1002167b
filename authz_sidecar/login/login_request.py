"""What a sign-in is for, as it travels between our own pages and hosts: sealed, and short-lived."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.step_up import LONGEST_QUESTION, StepUp
from authz_sidecar.errors import AttemptLost, BadReturnAddress
from authz_sidecar.login.error_pages import OTHER_KEYS, Interrupted, not_the_central_host
from authz_sidecar.login.http import BadRequest, one
from authz_sidecar.login.step_up import readable_question

if TYPE_CHECKING:
    from authz_sidecar.core.redirects import ReturnAddress
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.context import Desk
    from authz_sidecar.login.http import LoginRequest, Pairs
    from authz_sidecar.login.transactions import Sealer

HAND_OVER = "hand-over request"
HAND_OVER_SECONDS = 60
CHOICE = "provider choice"
CHOICE_SECONDS = 600
WALK = "walk"
WALK_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
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
    step_up: StepUp | None = None
    user: str = ""
    wish: StepUp | None = None
    walk: tuple[str, ...] = ()


def seal_errand(
    errand: Errand, keys: Sealer, *, purpose: str, origin: Origin, expires_at: float
) -> str:
    """For `origin` alone to open."""
    data = json.dumps([expires_at, asdict(errand)], separators=(",", ":")).encode()
    return keys.seal_text(purpose, data, bound_to=str(origin).encode())


def open_errand(
    sealed: str, keys: Sealer, *, purpose: str, origin: Origin, now: float
) -> tuple[Errand, bool] | None:
    """The errand and whether it is still fresh; None when it is not ours."""
    data = keys.open_text(purpose, sealed, bound_to=str(origin).encode())
    if data is None:
        return None
    expires_at, fields = json.loads(data)
    step_up, wish = fields.pop("step_up", None), fields.pop("wish", None)
    walk = tuple(fields.pop("walk", ()))
    errand = Errand(
        **fields,
        step_up=step_up and step_up_from(step_up),
        wish=wish and step_up_from(wish),
        walk=walk,
    )
    return errand, now < expires_at


def step_up_from(fields: dict[str, Any]) -> StepUp:
    """Of data that we sealed ourselves."""
    return StepUp(max_age=fields["max_age"], acr=tuple(fields["acr"]), amr=tuple(fields["amr"]))


_HINT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class Asking:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def errand(self, request: LoginRequest, pairs: Pairs) -> Errand:
        """Of what anybody may ask for: where to, and hints."""
        desk = self._desk
        raw = one(pairs, "rd")
        # OpenID Connect Core, 4: a third party names the target so, and the issuer it believes in.
        target = one(pairs, "target_link_uri")
        raw = target if raw is None else raw
        hint, issuer, attempt = (one(pairs, name) for name in ("login_hint", "iss", "attempt"))
        asked = one(pairs, "for") or ""
        if raw is None:
            raw = desk.home(request.origin)
        if hint is not None and not _HINT.fullmatch(hint):
            raise BadRequest("unusable login_hint")
        if attempt is not None and not re.fullmatch(r"[0-9]{1,2}", attempt):
            raise BadRequest("unusable attempt number")
        if asked and (len(asked) > LONGEST_QUESTION or not readable_question(asked)):
            raise BadRequest("unusable question")
        address = desk.addresses.parse(raw, on=request.origin)
        walk: tuple[str, ...] = ()
        if asked and request.origin not in {address.origin, desk.auth_host}:
            # A page of another host asked something here: here is where somebody has to sign in.
            walk, address = (address.url,), self._asked_about(asked, request)
        return Errand(
            return_to=address.url,
            walk=walk,
            shortened=address.shortened or one(pairs, "shortened") == "1",
            round=max(1, int(attempt or 1)),
            switch=one(pairs, "switch") == "1",
            login_hint=hint,
            issuer=issuer,
            asked=asked,
        )

    def _asked_about(self, asked: str, request: LoginRequest) -> ReturnAddress:
        """Where the question went, as far as anybody may be sent there."""
        _, _, path = asked.partition(" ")
        try:
            return self._desk.addresses.parse(path, on=request.origin)
        except BadReturnAddress:
            return self._desk.addresses.parse("/", on=request.origin)

    def sealed(self, request: LoginRequest, pairs: Pairs) -> Errand | None:
        """Of what only we can have asked for."""
        desk = self._desk
        names = {HAND_OVER: "request", CHOICE: "choice", WALK: "walk"}
        sealed = {purpose: one(pairs, name) for purpose, name in names.items()}
        given = [(purpose, text) for purpose, text in sealed.items() if text is not None]
        if not given:
            return None
        if len(given) > 1:
            raise BadRequest("more than one sealed request")
        if given[0][0] == HAND_OVER and request.origin != desk.auth_host:
            raise not_the_central_host(request.origin, desk.auth_host)
        purpose, text = given[0]
        opened = open_errand(
            text, desk.keys, purpose=purpose, origin=request.origin, now=desk.clock()
        )
        if opened is None:
            raise Interrupted(
                BadRequest("sealed request is not ours"), retry=None, hints=(OTHER_KEYS,)
            )
        errand, fresh = opened
        if not fresh:
            retry = (
                desk.still_ours(errand.walk[-1], on=request.origin)
                if errand.walk
                else desk.start_url(errand.return_to, number=errand.round + 1)
            )
            raise Interrupted(AttemptLost("sealed request has expired"), retry=retry)
        return errand
