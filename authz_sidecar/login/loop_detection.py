"""The loop breaker: sign-ins that succeed again and again within a minute lead nowhere, and a page
that names the likely causes is worth more than another redirect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from authz_sidecar.sessions.cookie import cookie_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.transactions import Sealer

MAX_ROUNDS = 3
WINDOW_SECONDS = 60
_PURPOSE = "sign-in rounds"


class LoopCause(StrEnum):
    """What can be seen of a sign-in that goes round in circles, from what its browser brings."""

    NO_COOKIES = "no cookies"
    """Not even the count of rounds comes back."""
    COOKIE_LOST = "cookie lost"
    """Cookies come back, but that of the session does not."""
    SESSION_LOST = "session lost"
    """The cookie comes back, and nobody knows its session."""
    STILL_ASKED = "still asked"
    """The session is there, and the site sends to sign-in nevertheless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDetector:
    """Counts finished rounds in a small sealed cookie of the host. A tab more is no round: it
    counts only when it comes back signed in."""

    keys: Sealer
    base_name: str

    def is_looping(self, cookie_lines: Sequence[str], *, origin: Origin, now: float) -> bool:
        return len(self._rounds(cookie_lines, origin, now)) >= MAX_ROUNDS

    def keeps_cookies(self, cookie_lines: Sequence[str], *, origin: Origin, now: float) -> bool:
        """Whether the browser keeps cookies of ours at all."""
        return bool(self._rounds(cookie_lines, origin, now))

    def count_round(self, cookie_lines: Sequence[str], *, origin: Origin, now: float) -> str:
        """The Set-Cookie value after one more round."""
        rounds = (*self._rounds(cookie_lines, origin, now), int(now))[-MAX_ROUNDS:]
        name = self._name(origin)
        sealed = self.keys.seal_text(
            _PURPOSE, json.dumps(rounds).encode(), associated_data=f"{origin} {name}".encode()
        )
        secure = "; Secure" if origin.scheme == "https" else ""
        return f"{name}={sealed}; Path=/; Max-Age={WINDOW_SECONDS}; HttpOnly; SameSite=Lax{secure}"

    def _rounds(self, cookie_lines: Sequence[str], origin: Origin, now: float) -> tuple[int, ...]:
        name = self._name(origin)
        values = [value for key, value in cookie_pairs(cookie_lines) if key == name]
        if len(values) != 1:
            return ()
        data = self.keys.open_text(_PURPOSE, values[0], associated_data=f"{origin} {name}".encode())
        rounds: list[int] = [] if data is None else json.loads(data)
        return tuple(at for at in rounds if now - at < WINDOW_SECONDS)

    def _name(self, origin: Origin) -> str:
        return f"{'__Host-' if origin.scheme == 'https' else ''}{self.base_name}-loop"
