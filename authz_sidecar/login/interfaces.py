"""The interfaces of other packages that login uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import CheckRequest, Decision, Identity, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.loop_detection import LoopCause


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One login in the list of the user's sessions.

    `handle`: its public id, which the form sends back.
    `sites`: the hosts that were opened with it.
    `current`: whether it is the session of this request.
    """

    handle: str
    provider: str
    device: str
    address: str
    signed_in_at: float
    last_used_at: float
    sites: tuple[str, ...]
    current: bool


class LoginRoute(Protocol):
    """A route, as login sees it."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that may log users in; empty for the default ones."""
        ...

    @property
    def command_line_tools(self) -> bool:
        """Whether the route accepts tokens of command-line tools."""
        ...

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The other hosts that its pages need sessions on."""
        ...


class Routes(Protocol):
    """The configured routes."""

    def match(self, origin: Origin, path: str) -> LoginRoute | None:
        """Return the route of a path on a host, or None."""
        ...

    def for_host(self, origin: Origin) -> Sequence[LoginRoute]:
        """Return all routes of a host."""
        ...

    def is_known_origin(self, origin: Origin) -> bool:
        """Whether a route has this host."""
        ...


class DecisionPreview(Protocol):
    """What checks would decide for a user, before the user returns to the page."""

    def decide(self, request: CheckRequest, identity: Identity) -> Decision:
        """Return the decision on this request for this user. Raises `BadProxyRequest`."""
        ...

    def receives_identity(self, request: CheckRequest, identity: Identity) -> bool:
        """Whether this request would be allowed and the application receive the identity. Raises
        `BadProxyRequest`."""
        ...

    def anticipated_step_up(self, request: CheckRequest) -> AuthenticationRequirement | None:
        """Return the step-up that this request requires of any user, or None. Raises
        `BadProxyRequest`."""
        ...


class SessionFinder(Protocol):
    """Finds sessions by the secret in their cookie."""

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """Return the valid session with this secret, cookie scope and provider, or None."""
        ...


class SignInRecorder(Protocol):
    """The metrics of logins."""

    def count_sign_in(self, *, provider: str, outcome: str) -> None:
        """Count a login that has come back from its provider; `provider` is empty when it is
        unknown."""
        ...

    def count_throttled(self, *, endpoint: str) -> None:
        """Count a request that the rate limit refused."""
        ...


class Pages(Protocol):
    """The HTML of every page."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the response headers of every page."""
        ...

    def error(
        self,
        *,
        title: str,
        message: str,
        request_id: str,
        retry_url: str | None = None,
        retry_label: str = "Try again",
        hints: tuple[str, ...] = (),
    ) -> str:
        """Return an error page; `hints` are likely causes, `retry_url` is the link of its button."""
        ...

    def provider_down(self, *, provider: str, retry_url: str | None, request_id: str) -> str:
        """Return the page about a provider that cannot be reached."""
        ...

    def too_many_redirects(self, *, host: str, request_id: str, cause: LoopCause) -> str:
        """Return the page about a redirect loop."""
        ...

    def other_account(
        self, *, identity: Identity, continue_url: str, back_url: str, request_id: str
    ) -> str:
        """Return the page that asks whether to continue as another user than before."""
        ...

    def choose_provider(self, *, options: tuple[tuple[str, str], ...], host: str) -> str:
        """Return the provider chooser; `options` are pairs of name and URL."""
        ...

    def sign_out(
        self, *, identity: Identity | None, action_url: str, csrf: str, everywhere: bool
    ) -> str:
        """Return the logout form.

        `everywhere`: whether the user may also log out on other hosts.
        """
        ...

    def signed_out(self, *, home_url: str | None) -> str:
        """Return the page after a logout."""
        ...

    def who_am_i(
        self,
        *,
        identity: Identity,
        provider: str,
        expires_at: float,
        sign_out_url: str,
        sessions_url: str | None,
    ) -> str:
        """Return the page about the current user; `expires_at` in Unix seconds."""
        ...

    def sessions(
        self, *, identity: Identity, lines: tuple[SessionRow, ...], action_url: str, csrf: str
    ) -> str:
        """Return the list of the user's sessions, with the form that ends them."""
        ...

    def allow_tool(
        self,
        *,
        identity: Identity,
        site: str,
        tool: str,
        ends_at: float,
        action_url: str,
        csrf: str,
        fields: tuple[tuple[str, str], ...],
    ) -> str:
        """Return the consent page for a command-line tool.

        `tool`: its redirect URI.
        `ends_at`: when its token expires, in Unix seconds.
        `fields`: the hidden fields of the form.
        """
        ...

    def continue_to(self, *, url: str) -> str:
        """Return a page that navigates to a URL by itself."""
        ...
