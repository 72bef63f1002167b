"""Checks every promise of the demo once, without a browser, each as a step that passes or fails."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Final

from authz_sidecar.demo.browser import API_HEADERS, Browser, BrowserPage
from authz_sidecar.demo.scenario import ALICE, BOB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.demo.scenario import Scenario, User

_FORGED_HEADERS: Final = {
    "X-Auth-User": "mallory",
    "X-Auth-Email": "m@evil.example",
    "X-Auth-Groups": "admins",
}
_TARGET: Final = "/reports?month=8&q=a%26b%20c&next=%2Fhome"

SmokeTestStep = tuple[str, Callable[[], None]]


class StepFailedError(Exception):
    """A step failed; the message says how."""


def expect(holds: object, message: str) -> None:
    """Raise `StepFailedError` with `message` unless `holds`."""
    if not holds:
        raise StepFailedError(message)


class SmokeTest:
    """The steps of the smoke test, which share the browsers of alice and bob."""

    def __init__(self, scenario: Scenario) -> None:
        self._public = scenario.origin("public")
        self._app = scenario.origin("app")
        self._admin = scenario.origin("admin")
        self._issuer = scenario.issuer
        self._alice = Browser()
        self._bob = Browser()
        self._sign_in_page: BrowserPage | None = None

    def steps(self) -> tuple[SmokeTestStep, ...]:
        """Return the steps in order; each relies on those before it."""
        return (
            ("the public site opens without sign-in", self._public_site),
            ("forged identity headers do not reach the app", self._forged_headers),
            ("an API client without a session gets 401 and JSON", self._api_client),
            ("a browser is led to the provider's sign-in page", self._redirected_to_provider),
            ("alice signs in and is back at her address, query included", self._sign_in),
            ("the app receives her identity in headers that she cannot forge", self._identity),
            ("the app never sees the session cookie, only its own", self._session_cookie),
            ("the admin site knows her without another trip to the provider", self._second_site),
            ("her cookie of one site opens no other site", self._replay),
            (
                "bob signs in, and the admin site refuses him with a page that says why",
                self._denied,
            ),
            ("alice signs out, and every site asks her to sign in again", self._sign_out),
            ("bob is still signed in", self._bob_stays),
        )

    def _public_site(self) -> None:
        page = Browser().get(f"{self._public}/welcome")
        expect(page.status == 200, _describe(page))
        expect("/welcome" in page.text, "the app was not reached")

    def _forged_headers(self) -> None:
        received = self._headers_received_by_app(Browser(), self._public, _FORGED_HEADERS)
        expect(
            not [name for name in received if name.startswith("x-auth-")],
            f"the app received {received}",
        )

    def _api_client(self) -> None:
        page = Browser().get(f"{self._app}/api/items", API_HEADERS)
        expect(page.status == 401, _describe(page))
        expect(page.header("www-authenticate").startswith("Bearer"), "no WWW-Authenticate: Bearer")
        expect(isinstance(_json(page), dict), "the body is no JSON object")

    def _redirected_to_provider(self) -> None:
        first = self._alice.get(f"{self._app}{_TARGET}")
        expect(first.status == 302, _describe(first))
        start = first.header("location")
        expect(start.startswith(f"{self._app}/.auth/start?"), f"led to {start}")
        expect(not self._alice.cookie_jars[_host(self._app)], "the challenge has set a cookie")
        self._sign_in_page = self._alice.follow(first)
        expect(
            self._sign_in_page.url.startswith(self._issuer), f"ended at {self._sign_in_page.url}"
        )
        expect(self._sign_in_page.status == 200, _describe(self._sign_in_page))
        for parameter in ("code_challenge=", "nonce=", "state="):
            expect(parameter in self._sign_in_page.url, f"no {parameter} was sent")

    def _sign_in(self) -> None:
        if self._sign_in_page is None:
            raise StepFailedError("there is no sign-in page")
        page = self._alice.submit(self._sign_in_page, {"sub": ALICE.subject})
        expect(page.status == 200, _describe(page))
        expect(page.url == f"{self._app}{_TARGET}", f"ended at {page.url}")
        expect(escape(_TARGET) in page.text, "the app received another target")
        expect(ALICE.name in page.text, "the app does not greet her by name")

    def _identity(self) -> None:
        received = self._headers_received_by_app(self._alice, self._app, _FORGED_HEADERS)
        for name, value in (("x-auth-user", ALICE.subject), ("x-auth-email", ALICE.email)):
            expect(received.get(name) == [value], f"{name} is {received.get(name)}")
        groups = sorted(",".join(received.get("x-auth-groups", [])).split(","))
        expect(groups == sorted(ALICE.groups), f"x-auth-groups is {groups}")
        expect("x-auth-assertion" in received, "there is no signed assertion")

    def _session_cookie(self) -> None:
        jar = self._alice.cookie_jars[_host(self._app)]
        expect(jar, "there is no session cookie")
        jar["theme"] = "dark"
        received = self._headers_received_by_app(self._alice, self._app)
        expect(
            received.get("cookie") == ["theme=dark"], f"the app received {received.get('cookie')}"
        )
        del jar["theme"]

    def _second_site(self) -> None:
        self._alice.visited_hosts.clear()
        page = self._alice.browse(f"{self._admin}/")
        expect(page.status == 200 and page.url == f"{self._admin}/", _describe(page))
        expect(ALICE.name in page.text, "the app does not greet her by name")
        expect(
            _host(self._issuer) not in self._alice.visited_hosts, "the provider was visited again"
        )

    def _replay(self) -> None:
        thief = Browser()
        cookies = self._alice.cookie_jars[_host(self._app)]
        for site, status in ((self._app, 200), (self._admin, 401)):
            thief.cookie_jars[_host(site)] = dict(cookies)
            page = thief.get(f"{site}/", API_HEADERS)
            expect(page.status == status, _describe(page))

    def _denied(self) -> None:
        page = self._sign_in_as(self._bob, BOB, self._app)
        expect(page.status == 200 and BOB.name in page.text, _describe(page))
        page = self._bob.browse(f"{self._admin}/")
        expect(page.status == 403, _describe(page))
        expect(BOB.email in page.text, "the page does not say who he is")
        expect("group" in page.text, "the page does not say why")

    def _sign_out(self) -> None:
        confirmation = self._alice.browse(f"{self._app}/.auth/sign_out")
        expect(confirmation.status == 200 and confirmation.field("csrf"), _describe(confirmation))
        page = self._alice.submit(
            confirmation, {"csrf": confirmation.field("csrf"), "scope": "everywhere"}
        )
        # This provider asks once more before it ends its own session.
        if page.url.startswith(self._issuer):
            back = page.field("redirect_uri")
            confirm = f"{self._issuer}/oauth2/end_session/confirm"
            page = self._alice.submit(page, {"redirect_uri": back} if back else {}, to=confirm)
        expect(page.status == 200, _describe(page))
        for site in (self._app, self._admin):
            again = self._alice.browse(f"{site}/")
            expect(again.url.startswith(self._issuer), f"{site} answered {again.status}")

    def _bob_stays(self) -> None:
        page = self._bob.get(f"{self._app}/", API_HEADERS)
        expect(page.status == 200, _describe(page))

    def _sign_in_as(self, browser: Browser, user: User, site: str) -> BrowserPage:
        page = browser.browse(f"{site}/")
        expect(page.url.startswith(self._issuer), f"ended at {page.url}")
        return browser.submit(page, {"sub": user.subject})

    @staticmethod
    def _headers_received_by_app(
        browser: Browser, site: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, list[str]]:
        page = browser.get(f"{site}/", {**API_HEADERS, **(headers or {})})
        expect(page.status == 200, _describe(page))
        headers_by_name: dict[str, list[str]] = {}
        document = _json(page)
        lines = document.get("headers", []) if isinstance(document, dict) else []
        for name, value in lines:
            headers_by_name.setdefault(str(name).lower(), []).append(str(value))
        return headers_by_name


def run_smoke_test(scenario: Scenario) -> bool:
    """Run and print every step; return whether all passed."""
    steps = iter(SmokeTest(scenario).steps())
    for title, step in steps:
        try:
            step()
        except (StepFailedError, OSError, http.client.HTTPException) as error:
            print(f"  ✗ {title}: {error}", flush=True)
            for title_not_reached, _ in steps:
                print(f"  - {title_not_reached} (not reached)", flush=True)
            return False
        print(f"  ✓ {title}", flush=True)
    return True


def _host(origin: str) -> str:
    return origin.partition("://")[2]


def _describe(page: BrowserPage) -> str:
    where = f", to {page.redirect_url}" if page.redirect_url else ""
    return f"{page.url} answered {page.status}{where}"


def _json(page: BrowserPage) -> object:
    try:
        return json.loads(page.text)
    except ValueError:
        raise StepFailedError(f"{page.url} answered no JSON") from None
