"""Hosts that are signed in together: after a sign-in the browser is walked through the hosts that a
route depends on, and ends where it was going.

Each step is sealed for the host it leads to, and names those that are left. A host that cannot be
signed in without a word is passed by: nobody is kept from where they were going.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, parse_origin, parse_url
from authz_sidecar.login.login_request import WALK, WALK_SECONDS, Errand, seal_errand

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.context import Desk

MOST_HOSTS = 5


class Walking:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def from_(self, url: str, *, provider: str) -> str:
        """Where to go from a sign-in that is for `url`: there, or first to a host it depends on."""
        origin, _ = parse_url(url)
        hosts = tuple(
            host
            for host in self._desk.depends_on(url)[:MOST_HOSTS]
            if self._could_join(host, origin, provider)
        )
        return self.onward((*hosts, url), provider=provider, here=origin)

    def onward(self, walk: tuple[str, ...], *, provider: str, here: Origin) -> str:
        """The next step of those that are left; the last one is an address, not a host."""
        desk = self._desk
        if len(walk) == 1:
            return desk.still_ours(walk[0], on=here)
        host = parse_origin(walk[0])
        sealed = seal_errand(
            Errand(return_to=desk.home(host), walk=walk[1:], provider=provider),
            desk.keys,
            purpose=WALK,
            origin=host,
            expires_at=desk.clock() + WALK_SECONDS,
        )
        return desk.url(host, "start", walk=sealed)

    def _could_join(self, host: str, own: Origin, provider: str) -> bool:
        desk = self._desk
        try:
            origin = parse_origin(host)
        except MalformedUrl:
            return False
        return (
            origin != own
            and desk.routes.knows(origin)
            and not desk.shares_session(origin, own)
            and provider in desk.providers_for(desk.home(origin))
        )
