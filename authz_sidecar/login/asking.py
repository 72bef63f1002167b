"""What a sign-in is asked to be for: by anybody, in the query of `start`, or by ourselves, sealed.

Refuses what nobody of ours can have written; believes nothing of it that the routes do not confirm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz_sidecar.core.step_up import LONGEST_QUESTION
from authz_sidecar.errors import AttemptLost, BadReturnAddress
from authz_sidecar.login.errand import CHOICE, HAND_OVER, WALK, Errand, open_errand
from authz_sidecar.login.messages import BadRequest, one
from authz_sidecar.login.stepping import readable_question
from authz_sidecar.login.trouble import OTHER_KEYS, Interrupted, not_the_central_host

if TYPE_CHECKING:
    from authz_sidecar.core.return_address import ReturnAddress
    from authz_sidecar.login.desk import Desk
    from authz_sidecar.login.messages import LoginRequest, Pairs

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
