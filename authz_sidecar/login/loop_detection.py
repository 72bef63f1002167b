"""Redirect loop detection: counts the logins that succeed within a minute, so that a page with
likely causes can replace the next redirect."""

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
    """The likely cause of a redirect loop, from what the browser sends."""

    NO_COOKIES = "no cookies"
    """The loop cookie itself is missing."""
    COOKIE_LOST = "cookie lost"
    """The loop cookie is there, the session cookie is missing."""
    SESSION_LOST = "session lost"
    """The session cookie is there, but its session does not exist."""
    STILL_ASKED = "still asked"
    """The session is valid, and the site still redirects to the login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDetector:
    """Counts completed logins in a sealed cookie of the host.

    An open tab does not count; only a completed login does.

    `base_name`: the name of the session cookie.
    """

    keys: Sealer
    base_name: str

    def is_looping(self, cookie_lines: Sequence[str], *, origin: Origin, now: float) -> bool:
        """Whether `MAX_ROUNDS` logins were completed within `WINDOW_SECONDS`."""
        return len(self._rounds(cookie_lines, origin, now)) >= MAX_ROUNDS

    def keeps_cookies(self, cookie_lines: Sequence[str], *, origin: Origin, now: float) -> bool:
        """Whether the browser has sent back the loop cookie."""
        return bool(self._rounds(cookie_lines, origin, now))

    def count_round(self, cookie_lines: Sequence[str], *, origin: Origin, now: float) -> str:
        """Return the Set-Cookie value that adds a completed login."""
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
        return tuple(time for time in rounds if now - time < WINDOW_SECONDS)

    def _name(self, origin: Origin) -> str:
        return f"{'__Host-' if origin.scheme == 'https' else ''}{self.base_name}-loop"
