"""What a person sees when a sign-in goes wrong: what happened, and where to begin again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import (
    AttemptLost,
    AuthzError,
    BadProxyRequest,
    BadReturnAddress,
    LoginRefused,
    ProviderUnavailable,
    StoreUnavailable,
    Throttled,
)
from authz_sidecar.login.messages import BadRequest, LoginReply

if TYPE_CHECKING:
    from authz_sidecar.login.ports import Pages

OTHER_INSTANCE = (
    "The sign-in service was restarted, or several copies of it run without a common session store"
    " (`sessions.store: memory://`)."
)

RETRY_SECONDS = 5

_TITLES: tuple[tuple[type[AuthzError], str], ...] = (
    (AttemptLost, "This sign-in cannot go on"),
    (BadRequest, "This request makes no sense here"),
    (BadProxyRequest, "This request makes no sense here"),
    (BadReturnAddress, "This address is not protected here"),
    (StoreUnavailable, "Signing in does not work at the moment"),
    (Throttled, "Too many requests"),
)


class Interrupted(LoginRefused):
    """An error, with what the person can do about it. `cause` decides the status and the words."""

    def __init__(
        self,
        cause: AuthzError,
        *,
        retry: str | None,
        provider: str | None = None,
        hints: tuple[str, ...] = (),
    ) -> None:
        super().__init__(str(cause), public=cause.public)
        self.cause = cause
        self.retry = retry
        self.provider = provider
        self.hints = hints


def trouble_page(error: AuthzError, pages: Pages, *, request_id: str) -> LoginReply:
    if not isinstance(error, Interrupted):
        error = Interrupted(error, retry=None)
    cause = error.cause
    if isinstance(cause, ProviderUnavailable):
        html = pages.provider_down(
            provider=error.provider or "", retry_url=error.retry, request_id=request_id
        )
    else:
        html = pages.trouble(
            title=next(
                (title for kind, title in _TITLES if isinstance(cause, kind)),
                "You are not signed in",
            ),
            message=cause.public,
            request_id=request_id,
            retry_url=error.retry,
            hints=error.hints,
        )
    headers = pages.headers()
    if isinstance(cause, Throttled):
        headers = (*headers, ("retry-after", str(cause.retry_after)))
    elif cause.status == 503:
        headers = (*headers, ("retry-after", str(RETRY_SECONDS)))
    return LoginReply(status=cause.status, headers=headers, body=html.encode())
