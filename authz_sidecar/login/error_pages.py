"""Error pages: what went wrong during a login, and where to begin again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import (
    AuthzError,
    BadProxyRequest,
    BadReturnUrl,
    LoginRefused,
    ProviderUnavailable,
    RateLimited,
    StoreUnavailable,
    TransactionLost,
)
from authz_sidecar.login.http import BadRequest, LoginResponse
from authz_sidecar.login.redirect_uri import RedirectUriNotReady
from authz_sidecar.login.step_up import StepUpNotSatisfied

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.interfaces import Pages

OTHER_INSTANCE = (
    "The sign-in service was restarted, or several copies of it run without a common session store"
    " (`sessions.store: memory://`)."
)

COOKIES_REFUSED = (
    "Your browser sent no cookies at all: it may refuse those of this site. Allow them, or leave the"
    " private window."
)
UPDATED = "The sign-in service was updated while you were signing in."

OTHER_KEYS = (
    "Another copy of the sign-in service wrote this request, with other secret_keys; or it was"
    " made for another host."
)

RETRY_SECONDS = 5

_TITLES: tuple[tuple[type[AuthzError], str], ...] = (
    (StepUpNotSatisfied, "This page asks for another sign-in"),
    (RedirectUriNotReady, "This sign-in is not set up yet"),
    (TransactionLost, "This sign-in cannot go on"),
    (BadRequest, "This request is not valid"),
    (BadProxyRequest, "This request is not valid"),
    (BadReturnUrl, "This address is not protected here"),
    (StoreUnavailable, "Signing in does not work at the moment"),
    (RateLimited, "Too many requests"),
)


class LoginError(LoginRefused):
    """An error with advice for the user.

    `cause`: the error; it decides status and wording.
    `retry`: the URL that begins again; None for no button.
    `provider`: the name of the provider on the page.
    `hints`: the likely causes.
    """

    def __init__(
        self,
        cause: AuthzError,
        *,
        retry: str | None,
        provider: str | None = None,
        hints: tuple[str, ...] = (),
    ) -> None:
        super().__init__(str(cause), public_message=cause.public_message)
        self.cause = cause
        self.retry = retry
        self.provider = provider
        self.hints = hints


def wrong_central_host(here: Origin, central: Origin | None) -> LoginError:
    """Return the error for a request for the central host that arrived on another host."""
    configured = "none is configured" if central is None else f"{central} is configured"
    cause = (
        f"This came in for {here}, while the central sign-in host (server.auth_host) is another:"
        f" {configured}. The proxy may send it on under a wrong name (Host), or copies of the"
        " sign-in service run with different configurations."
    )
    wrong = BadRequest(f"a request for the central host arrived on `{here}`")
    return LoginError(wrong, retry=None, hints=(cause,))


def error_page(error: AuthzError, pages: Pages, *, request_id: str) -> LoginResponse:
    """Return the response for an error, with `Retry-After` where trying again later helps."""
    if not isinstance(error, LoginError):
        error = LoginError(error, retry=None)
    cause = error.cause
    if isinstance(cause, ProviderUnavailable):
        html = pages.provider_down(
            provider=error.provider or "", retry_url=error.retry, request_id=request_id
        )
    else:
        html = pages.error(
            title=next(
                (title for kind, title in _TITLES if isinstance(cause, kind)),
                "You are not signed in",
            ),
            message=cause.public_message,
            request_id=request_id,
            retry_url=error.retry,
            hints=error.hints,
        )
    headers = pages.headers()
    if isinstance(cause, RateLimited):
        headers = (*headers, ("retry-after", str(cause.retry_after)))
    elif cause.status == 503:
        headers = (*headers, ("retry-after", str(RETRY_SECONDS)))
    return LoginResponse(status=cause.status, headers=headers, body=html.encode())
