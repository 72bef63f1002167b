"""What a sign-in is for, as it travels between our own pages and hosts: sealed, and short-lived."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.attempts import Sealer

HAND_OVER = "hand-over request"
HAND_OVER_SECONDS = 60
CHOICE = "provider choice"
CHOICE_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """`flow` is the hash of the flow secret of the host this is done for; None for ourselves.
    `provider` is one that was chosen, `issuer` one that a third party asked for; neither is
    believed before the route of `return_to` agreed. `switch` asks for another account."""

    return_to: str
    flow: str | None = None
    round: int = 1
    shortened: bool = False
    switch: bool = False
    login_hint: str | None = None
    issuer: str | None = None
    provider: str | None = None


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
    return Errand(**fields), now < expires_at
