"""What people hold while a server is upgraded: cookies, addresses and forms that the version before
sealed, written here as their JSON. Each is brought to the application, and means what it did.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.step_up import AuthenticationRequirement
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.login_request import LoginIntent, open_intent
from authz_sidecar.login.transactions import TransactionCookies
from authz_sidecar.sealing import SecretKeys
from tests.contract import stored
from tests.contract.stored import APP, AUTH, ISSUER, NOW, VERIFIER
from tests.support.sign_in import Clock, running_sign_in

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = SecretKeys([stored.SECRET])
TOKENS: Mapping[str, str] = stored.load_golden()["tokens"]
BACK = f"{APP}/x?y=1"
ATTEMPT = "6b49d200cmFuZG9t"
FLOW = f"__Host-authz-flow-{ATTEMPT}"
STATE = f"{ATTEMPT}.2.0123456789abcdef.5DZohSsJcg8wuEMjIKhQoFr3f1rN6VhVDejeinzSqxw"
TOOL = {
    "redirect_uri": "http://127.0.0.1:7777/callback",
    "code_challenge": str(stored.TICKETS["code"]["challenge"]),
    "code_challenge_method": "S256",
}


def sealed(purpose: str, document: object, bound_to: str = "") -> str:
    return KEYS.seal_text(purpose, json.dumps(document).encode(), associated_data=bound_to.encode())


def session_handle(name: str) -> str:
    """What a session is called in the store, whose cookie is known."""
    [found] = [
        key[6:-1]
        for key, held in stored.load_golden()["keys"].items()
        if key.startswith("az:s:")
        and KEYS.open("session", b64decode(held["value"]), extra_secret=TOKENS[name].encode())
    ]
    return str(found)


def sealed_transaction(provider: str | None, *more: object) -> str:
    """The value of the cookie: the last four fields came later than the others."""
    fields = [provider, BACK, NOW - 5, None, 1, 2, "0123456789abcdef", "c3Nz" * 10 + "c3M", *more]
    return sealed("login attempt", fields, f"{APP} {FLOW}")


def login_intent_document(differences: Mapping[str, object]) -> list[object]:
    """What is sealed of it, under the names that are in use between hosts."""
    usual: dict[str, object] = dict.fromkeys(
        ("flow", "login_hint", "issuer", "provider", "step_up", "wish")
    )
    usual |= {"return_to": BACK, "round": 1, "shortened": False, "switch": False}
    return [NOW + 60, {**usual, "asked": "", "user": "", "walk": [], **differences}]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param((), (None, "", (), ""), id="as it was before step-up"),
        pytest.param(
            ([300.0, ["gold"], ["otp"]], "user-mark", [APP, BACK], "handle"),
            (
                *(
                    AuthenticationRequirement(max_age=300.0, acr=("gold",), amr=("otp",)),
                    "user-mark",
                ),
                *((APP, BACK), "handle"),
            ),
            id="all of it",
        ),
    ],
)
def test_a_sign_in_that_was_begun(more: tuple[object, ...], expected: tuple[object, ...]) -> None:
    cookies = TransactionCookies(KEYS, base_name="authz")
    line = f"{FLOW}={sealed_transaction('corp', *more)}"
    found = cookies.find([line], ATTEMPT, origin=parse_origin(APP))
    assert found is not None
    assert (found.provider, found.return_to, found.started_at) == ("corp", BACK, NOW - 5)
    assert (found.flow, found.shortened, found.round) == (None, True, 2)
    assert (found.step_up, found.user, found.walk, found.previous_session) == expected
    # What the provider was told, and will be asked for.
    assert found.state == STATE
    assert found.nonce == "4Z7iWKFkjhd9ILN_74sOn6ZdA-Z-RjOgRQAAFUw8F-Q"
    assert found.verifier == "z329fDsAN0niEzf8Qui_Mn3ApjFTcud7az0wScoD0ok"
    assert found.flow_hash == stored.FLOW_HASH


def test_what_a_sign_in_is_for() -> None:
    step_up = {"max_age": 300.0, "acr": ["gold"], "amr": ["otp"]}
    told = login_intent_document(
        {
            "flow": "hash",
            "round": 2,
            "shortened": True,
            "switch": True,
            "login_hint": "alice",
            "issuer": ISSUER,
            "provider": "corp",
            "asked": "POST /pay",
            "step_up": step_up,
            "user": "mark",
            "wish": step_up,
            "walk": [APP, BACK],
        }
    )
    opened = open_intent(
        *(sealed("walk", told, APP), KEYS), purpose="walk", origin=parse_origin(APP), now=NOW
    )
    needed = AuthenticationRequirement(max_age=300.0, acr=("gold",), amr=("otp",))
    expected = LoginIntent(
        return_to=BACK,
        flow="hash",
        round=2,
        shortened=True,
        switch=True,
        login_hint="alice",
        issuer=ISSUER,
        provider="corp",
        asked="POST /pay",
        step_up=needed,
        user="mark",
        wish=needed,
        walk=(APP, BACK),
    )
    assert opened == (expected, True)


@dataclass(frozen=True, kw_only=True)
class BrowserRequest:
    """`url` is what is asked for, with a form where there is one; `cookie` comes beside sessions.
    `location` and `text` begin, and are part of, what is answered."""

    url: str
    form: Mapping[str, str] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    cookie: tuple[str, str] | None = None
    status: int = 303
    location: str = ""
    text: str = ""
    set_cookie: str = ""


FORM = [session_handle("alice"), NOW + 60]
CASES = {
    "session": BrowserRequest(url=f"{APP}/.auth/userinfo", status=200, text="alice@example.com"),
    "walk": BrowserRequest(
        url=f"{APP}/.auth/start",
        query={"walk": sealed("walk", login_intent_document({"walk": [BACK]}), APP)},
        location=BACK,
    ),
    "choice": BrowserRequest(
        url=f"{APP}/.auth/start",
        query={
            "choice": sealed("provider choice", login_intent_document({"provider": "corp"}), APP)
        },
        location=BACK,
    ),
    "hand-over request": BrowserRequest(
        url=f"{AUTH}/.auth/start",
        query={
            "request": sealed(
                "hand-over request", login_intent_document({"flow": stored.FLOW_HASH}), AUTH
            )
        },
        location=f"{APP}/.auth/handover?ticket=",
    ),
    "ticket": BrowserRequest(
        url=f"{APP}/.auth/handover",
        query={"ticket": TOKENS["hand-over"]},
        cookie=(FLOW, sealed_transaction(None)),
        status=200,  # a page, since the address was shortened
        text=f'href="{BACK}"',
        set_cookie="__Host-authz=",
    ),
    "state": BrowserRequest(
        url=f"{APP}/.auth/callback",
        query={"state": STATE, "error": "access_denied"},
        cookie=(FLOW, sealed_transaction("corp")),
        status=503,  # it is ours, and its provider is asked, which does not answer here
        set_cookie=f"{FLOW}=; Path=/; Max-Age=0",
    ),
    "rounds": BrowserRequest(
        url=f"{APP}/.auth/start",
        cookie=(
            "__Host-authz-loop",
            sealed("sign-in rounds", [NOW - 3, NOW - 2, NOW - 1], f"{APP} __Host-authz-loop"),
        ),
        status=400,
    ),
    "sign-out form": BrowserRequest(
        url=f"{AUTH}/.auth/sign_out",
        form={"csrf": sealed("sign-out form", FORM, AUTH), "scope": "site"},
        location=f"{AUTH}/.auth/signed_out?state=",
    ),
    "way home": BrowserRequest(
        url=f"{AUTH}/.auth/signed_out",
        query={"state": KEYS.seal_text("signed-out home", APP.encode())},
        status=200,
        text=f'href="{APP}/"',
    ),
    "sessions form": BrowserRequest(
        url=f"{AUTH}/.auth/sessions/revoke",
        form={"csrf": sealed("sessions form", FORM, AUTH), "session": session_handle("alice")},
        location=f"{AUTH}/.auth/signed_out",
    ),
    "tool form": BrowserRequest(
        url=f"{APP}/.auth/api/login",
        form={
            "csrf": sealed("tool form", [session_handle("child"), NOW + 60], APP),
            "allow": "1",
            **TOOL,
        },
        status=200,
        text=f"{TOOL['redirect_uri']}?code=",
    ),
    "code": BrowserRequest(
        url=f"{APP}/.auth/api/token",
        form={
            "grant_type": "authorization_code",
            "code": TOKENS["code"],
            "code_verifier": VERIFIER,
            "redirect_uri": TOOL["redirect_uri"],
        },
        status=200,
        text='"access_token": "azcl_',
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_a_browser_brings(name: str) -> None:
    case = CASES[name]
    clock = Clock(offset=NOW - time.time())
    routes: tuple[Any, ...] = ({"from": APP, "command_line_tools": True},)
    async with (
        running_sign_in(ISSUER, routes=routes, clock=clock, instance="0123456789abcdef") as fixture,
        fixture.browser() as browser,
    ):
        await stored.load(fixture.store, stored.load_golden()["keys"])
        for host, session in (("auth", "alice"), ("app", "child")):
            browser.client.cookies.set("__Host-authz", TOKENS[session], f"{host}.example.com")
        if case.cookie is not None:
            browser.client.cookies.set(*case.cookie, "app.example.com")
        origin = case.url.partition("/.auth")[0]
        reply = await browser.request(
            "GET" if case.form is None else "POST",
            case.url,
            params=case.query,
            data=case.form,
            headers={"origin": origin} if case.form else {},
        )
    assert reply.status_code == case.status, reply.text
    assert reply.headers.get("location", "").startswith(case.location)
    assert case.text in reply.text
    assert any(
        line.startswith(case.set_cookie) for line in ("", *reply.headers.get_list("set-cookie"))
    )
