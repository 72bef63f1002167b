"""Host chains: after a login the browser visits the hosts that a route depends on, gets a session
on each, and ends at the return URL.

Each step is sealed for the host that it leads to and names the remaining ones. A host where the
login needs the user is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, parse_origin, parse_url
from authz_sidecar.login.login_request import (
    HOST_CHAIN_PURPOSE,
    HOST_CHAIN_SECONDS,
    LoginIntent,
    seal_intent,
)

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.context import LoginContext

MAX_HOSTS = 5


class HostChain:
    """Builds the steps of host chains."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    def first_step(self, url: str, *, provider: str) -> str:
        """Return the first URL after a login for `url`: `url` itself, or a host that it depends on."""
        origin, _ = parse_url(url)
        hosts = tuple(
            host
            for host in self._context.depends_on(url)[:MAX_HOSTS]
            if self._can_sign_in(host, origin, provider)
        )
        return self.next_step((*hosts, url), provider=provider, current=origin)

    def next_step(self, remaining: tuple[str, ...], *, provider: str, current: Origin) -> str:
        """Return the URL of the next step.

        `remaining`: the remaining hosts, followed by the last URL.
        """
        context = self._context
        if len(remaining) == 1:
            return context.revalidate_return_url(remaining[0], origin=current)
        host = parse_origin(remaining[0])
        sealed = seal_intent(
            LoginIntent(return_to=context.default_url(host), walk=remaining[1:], provider=provider),
            context.keys,
            purpose=HOST_CHAIN_PURPOSE,
            origin=host,
            expires_at=context.clock() + HOST_CHAIN_SECONDS,
        )
        return context.url(host, "start", walk=sealed)

    def _can_sign_in(self, host: str, own: Origin, provider: str) -> bool:
        context = self._context
        try:
            origin = parse_origin(host)
        except MalformedUrl:
            return False
        return (
            origin != own
            and context.routes.is_known_origin(origin)
            and not context.shares_session(origin, own)
            and provider in context.providers_for(context.default_url(origin))
        )
