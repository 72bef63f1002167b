"""The pages for browsers, as HTML text: what happened, why, and what to do next.

Decides wording and looks only. Escapes every value, and links only to http(s) URLs and local paths.
Templates are read at start, and compiled when they are first rendered: most workers render few.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from markupsafe import Markup

from authz_sidecar.core.browser_headers import with_isolation_headers
from authz_sidecar.login.loop_detection import LoopCause
from authz_sidecar.web.assets import load_assets
from authz_sidecar.web.reason_texts import (
    another_account_may_help,
    explain_reasons,
    shown_codes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Template

    from authz_sidecar.core.types import Identity
    from authz_sidecar.login.interfaces import SessionRow

_COOKIES_BLOCKED = (
    "Your browser does not keep this site's cookies. Allow them, or leave the private window."
)
_CLOCK_WRONG = "The clock of this device, or of the server, is wrong."
_OTHER_NAME = (
    "The site is configured for another name than the one in the address bar, or for https."
)
_NO_COMMON_STORE = "Several copies of the sign-in service run without a common session store."
_STORE_LOSES_SESSIONS = (
    "The session store loses sessions: it was emptied, or has too little memory."
)
_TOO_MANY_COOKIES = "The browser has too many cookies for this site and drops some."
_UNSATISFIABLE_RULE = (
    "A rule of the site requires a way of signing in that the identity provider does not perform."
)
_PROXY_DROPS_COOKIES = (
    "The proxy does not pass cookies to the sign-in service, or changes the address."
)

LOOP_CAUSES: Mapping[LoopCause, tuple[str, ...]] = MappingProxyType(
    {
        LoopCause.NO_COOKIES: (_COOKIES_BLOCKED, _OTHER_NAME, _CLOCK_WRONG),
        LoopCause.COOKIE_LOST: (_OTHER_NAME, _COOKIES_BLOCKED, _TOO_MANY_COOKIES, _CLOCK_WRONG),
        LoopCause.SESSION_LOST: (_NO_COMMON_STORE, _STORE_LOSES_SESSIONS, _CLOCK_WRONG),
        LoopCause.STILL_ASKED: (
            _PROXY_DROPS_COOKIES,
            _UNSATISFIABLE_RULE,
            _NO_COMMON_STORE,
            _OTHER_NAME,
        ),
    }
)
"""The likely causes, the most likely first."""

# Characters of a name or an address that mislead the reader or cannot be encoded: control characters,
# text-direction overrides and lone surrogates.
_UNSAFE_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FOLLOWABLE_URL = re.compile(r"https?://[^/\\]|/(?![/\\])")


class Pages:
    """Renders every page. The stylesheet is at `<base_path>/static/`."""

    # `form-action` also covers redirects after a form: a POST that has to end at the identity
    # provider gets the page `continue_to` instead of a redirect.
    CONTENT_SECURITY_POLICY = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )

    def __init__(self, *, base_path: str) -> None:
        self._base_path = base_path
        self._template_sources = _read_templates()
        self._asset_urls = {
            name: f"{base_path}/static/{name}?v={asset.digest}"
            for name, asset in load_assets().items()
        }

    @cached_property
    def _template(self) -> Callable[[str], Template]:
        """The function that returns a template by name. Creating the engine takes 50 ms, and many
        workers never need it."""
        from jinja2 import DictLoader, Environment, StrictUndefined  # noqa: PLC0415

        environment = Environment(
            loader=DictLoader(self._template_sources),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=_replace_unsafe,
        )
        environment.tests["followable"] = _is_followable
        environment.globals["base_path"] = self._base_path
        environment.globals["static"] = self._asset_urls
        return environment.get_template

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the response headers of every page."""
        headers = (
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", self.CONTENT_SECURITY_POLICY),
            ("x-frame-options", "DENY"),
            # With `no-referrer` browsers send `Origin: null` with forms.
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        )
        return with_isolation_headers(200, headers)

    def denied(
        self,
        *,
        identity: Identity | None,
        url: str,
        reasons: frozenset[str],
        request_id: str,
        switch_account_url: str | None,
    ) -> str:
        """Return the page of a denied request.

        Only codes of failed conditions are shown, and another account is offered only if it may
        help.
        """
        return self._render(
            "denied",
            identity=identity,
            url=url,
            explanations=explain_reasons(reasons),
            codes=shown_codes(reasons),
            groups_required="groups-unauthorized" in reasons,
            another_account_may_help=another_account_may_help(reasons),
            request_id=request_id,
            switch_account_url=switch_account_url,
        )

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
        """Return the page of a failed sign-in, a bad request, a lost transaction or a rate limit."""
        return self._render(
            "trouble",
            title=title,
            message=message,
            request_id=request_id,
            retry_url=retry_url,
            retry_label=retry_label,
            hints=hints,
        )

    def provider_down(self, *, provider: str, retry_url: str | None, request_id: str) -> str:
        """Return the page for an identity provider that does not answer."""
        return self._render(
            "provider_down", provider=provider, retry_url=retry_url, request_id=request_id
        )

    def too_many_redirects(self, *, host: str, request_id: str, cause: LoopCause) -> str:
        """Return the page for a sign-in loop, with its likely causes."""
        return self._render("loop", host=host, request_id=request_id, causes=LOOP_CAUSES[cause])

    def other_account(
        self, *, identity: Identity, continue_url: str, back_url: str, request_id: str
    ) -> str:
        """Return the page for a step-up that came back with another account."""
        return self._render(
            "other_account",
            identity=identity,
            continue_url=continue_url,
            back_url=back_url,
            request_id=request_id,
        )

    def choose_provider(self, *, options: tuple[tuple[str, str], ...], host: str) -> str:
        """Return the page to choose a provider; `options` are `(label, url)`."""
        return self._render("choose", options=options, host=host)

    def sign_out(
        self, *, identity: Identity | None, action_url: str, csrf: str, everywhere: bool
    ) -> str:
        """Return a form that posts `csrf` and `scope`: `everywhere`, or `site` for this site only.

        `everywhere` says that the session is shared with other sites, so that there is a choice.
        """
        return self._render(
            "sign_out", identity=identity, action_url=action_url, csrf=csrf, everywhere=everywhere
        )

    def signed_out(self, *, home_url: str | None) -> str:
        """Return the page after sign-out."""
        return self._render("signed_out", home_url=home_url)

    def who_am_i(
        self,
        *,
        identity: Identity,
        provider: str,
        expires_at: float,
        sign_out_url: str,
        sessions_url: str | None = None,
    ) -> str:
        """Return the page about the session; `provider` is a display name, `expires_at` in Unix
        seconds."""
        return self._render(
            "who",
            identity=identity,
            provider=provider,
            expiry=_to_datetime(expires_at),
            sign_out_url=sign_out_url,
            sessions_url=sessions_url,
        )

    def sessions(
        self, *, identity: Identity, lines: tuple[SessionRow, ...], action_url: str, csrf: str
    ) -> str:
        """Return forms that post `csrf` and `session`, the public id of one session, or `all`."""
        rows = [
            {
                "device": line.device,
                "address": line.address,
                "provider": line.provider,
                "sites": line.sites,
                "handle": line.handle,
                "current": line.current,
                "signed_in": _to_datetime(line.signed_in_at),
                "last_used": _to_datetime(line.last_used_at),
            }
            for line in lines
        ]
        return self._render(
            "sessions", identity=identity, lines=rows, action_url=action_url, csrf=csrf
        )

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
        """Return a form that posts `csrf`, `fields` and `allow`, 1 or 0.

        `tool` is the address at which the program listens; `ends_at` is in Unix seconds.
        """
        return self._render(
            "allow_tool",
            identity=identity,
            site=site,
            tool=tool,
            ends=_to_datetime(ends_at),
            action_url=action_url,
            csrf=csrf,
            fields=fields,
        )

    def continue_to(self, *, url: str) -> str:
        """Return a page that redirects to `url`, and links to it; needs no script."""
        return self._render("continue", url=url)

    def _render(self, template: str, **values: object) -> str:
        return self._template(f"{template}.html").render(**values)


def _to_datetime(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=UTC)


def _replace_unsafe(value: object) -> object:
    if isinstance(value, Markup):
        return value
    return _UNSAFE_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _is_followable(url: object) -> bool:
    return isinstance(url, str) and _FOLLOWABLE_URL.match(url) is not None


def _read_templates() -> dict[str, str]:
    folder = files("authz_sidecar.web").joinpath("templates")
    return {template.name: template.read_text("utf-8") for template in folder.iterdir()}
