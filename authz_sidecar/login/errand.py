"""What a sign-in is for, as it travels between our own pages and hosts: sealed, and short-lived."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.step_up import StepUp

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.attempts import Sealer

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
