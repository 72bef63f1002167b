"""What sign-in needs of other rooms, as narrow as it uses them."""

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
    """One sign-in in the list of somebody's own. `sites` are those that were opened with it."""

    handle: str
    provider: str
    device: str
    address: str
    signed_in_at: float
    last_used_at: float
    sites: tuple[str, ...]
    current: bool


class LoginRoute(Protocol):
    @property
    def providers(self) -> tuple[str, ...]: ...

    @property
    def command_line_tools(self) -> bool: ...

    @property
    def depends_on(self) -> tuple[str, ...]: ...


class Routes(Protocol):
    def match(self, origin: Origin, path: str) -> LoginRoute | None: ...

    def for_host(self, origin: Origin) -> Sequence[LoginRoute]: ...

    def is_known_origin(self, origin: Origin) -> bool: ...


class DecisionPreview(Protocol):
    def decide(self, request: CheckRequest, identity: Identity) -> Decision:
        """What somebody would be told who asked this now; raises `BadProxyRequest`."""
        ...

    def receives_identity(self, request: CheckRequest, identity: Identity) -> bool:
        """Whether that would pass, and the application hear of them; raises `BadProxyRequest`."""
        ...

    def anticipated_step_up(self, request: CheckRequest) -> AuthenticationRequirement | None:
        """What will be asked of whoever signs in for this; raises `BadProxyRequest`."""
        ...


class SessionFinder(Protocol):
    async def find(self, token: str, *, scope: str, provider: str) -> Session | None: ...


class SignInRecorder(Protocol):
    def count_sign_in(self, *, provider: str, outcome: str) -> None:
        """A sign-in came back from its provider. `provider` is empty where nobody knows which."""
        ...

    def count_throttled(self, *, endpoint: str) -> None:
        """A request was one too many."""
        ...


class Pages(Protocol):
    """Each method gives HTML; `headers` are those of every page."""

    def headers(self) -> tuple[tuple[str, str], ...]: ...

    def error(
        self,
        *,
        title: str,
        message: str,
        request_id: str,
        retry_url: str | None = None,
        retry_label: str = "Try again",
        hints: tuple[str, ...] = (),
    ) -> str: ...

    def provider_down(self, *, provider: str, retry_url: str | None, request_id: str) -> str: ...

    def too_many_redirects(self, *, host: str, request_id: str, cause: LoopCause) -> str: ...

    def other_account(
        self, *, identity: Identity, continue_url: str, back_url: str, request_id: str
    ) -> str: ...

    def choose_provider(self, *, options: tuple[tuple[str, str], ...], host: str) -> str: ...

    def sign_out(
        self, *, identity: Identity | None, action_url: str, csrf: str, everywhere: bool
    ) -> str: ...

    def signed_out(self, *, home_url: str | None) -> str: ...

    def who_am_i(
        self,
        *,
        identity: Identity,
        provider: str,
        expires_at: float,
        sign_out_url: str,
        sessions_url: str | None,
    ) -> str: ...

    def sessions(
        self, *, identity: Identity, lines: tuple[SessionRow, ...], action_url: str, csrf: str
    ) -> str: ...

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
    ) -> str: ...

    def continue_to(self, *, url: str) -> str: ...
