"""What the placeholders of one vector stand for: `{STATE:x}`, `{CODE_PURPOSE:x}` and
`{FLOW_COOKIE}` of one vector belong together, unless it says otherwise."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.corpus.client import CookieBrowser, send
from tests.corpus.deployment import APP, AUTH, COOKIE
from tests.corpus.people import (
    EXPIRED_AGE_SECONDS,
    USER_NAMES,
    PendingSignIn,
    begin_sign_in,
    mutate_token,
)
from tests.corpus.vectors import (
    UnsupportedVector,
    fill_placeholders,
    placeholder_arguments,
    repeat_text,
    without_argument,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.corpus.people import UserSessions
    from tests.corpus.vectors import Vector

LOGGED_OUT_USER = "lottie"
"""Whom logout tokens are about."""

_SPECIAL_SIGN_INS: dict[str, Callable[[str], PendingSignIn]] = {
    "expired": lambda host: begin_sign_in(host=host, age=EXPIRED_AGE_SECONDS),
    "rd-host-removed-from-allowlist": lambda host: begin_sign_in(
        host=host, return_to="https://gone.example.com/secret"
    ),
    "no-provider": lambda host: begin_sign_in(host=host, provider="gone"),
}
_ORDINARY_SIGN_INS = frozenset(
    {"ok", "other", "victim", "attacker", "provider-a", "provider-b", "other-browser"}
) | {"used", "consumed"}


def provider_independent_values(
    session: Callable[[str], str],
) -> dict[str, Callable[[str | None], str]]:
    """What stands for itself: sessions by `session`, and tokens of nobody's making."""
    return {
        "COOKIE": without_argument(lambda: COOKIE),
        "COOKIE_BASE": without_argument(lambda: re.sub(r"^__(Host|Secure)-", "", COOKIE)),
        "RANDOM_SESSION_ID": without_argument(lambda: secrets.token_urlsafe(32)),
        "SESSION": lambda who: session(who or ""),
        "REPEAT": repeat_text,
        "BASIC": lambda pair: base64.b64encode((pair or "").encode()).decode(),
        "JWT": lambda _: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln",
        "OPAQUE": lambda _: secrets.token_urlsafe(24),
    }


@dataclass(kw_only=True)
class PlaceholderValues:
    users: UserSessions
    vector: Vector
    host: str
    sid: str = field(default_factory=lambda: secrets.token_hex(8))
    codes: list[str] = field(default_factory=list)
    tickets: list[tuple[str, CookieBrowser]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    _sign_ins: dict[str, PendingSignIn] = field(default_factory=dict)

    def fill_vector(self) -> Vector:
        vector = self.vector
        values = self._values()
        return replace(
            vector,
            path=fill_placeholders(vector.path, values),
            headers=tuple(
                (fill_placeholders(name, values), fill_placeholders(v, values))
                for name, v in vector.headers
            ),
            body=fill_placeholders(vector.body, values),
        )

    def _values(self) -> Mapping[str, Callable[[str | None], str]]:
        def session(who: str) -> str:
            return self.users.session_cookie(who, host=self.host, fresh=self.vector.adapter is None)

        return {
            **provider_independent_values(session),
            "JWT": lambda text: self._jwt(text or ""),
            "OPAQUE": lambda text: self.users.provider.issue_opaque_token(text or ""),
            "STATE": lambda text: self._state(text or ""),
            "CODE": lambda text: self._code(text or ""),
            "FLOW_COOKIE": self._flow_cookie,
            "FLOW_COOKIE_NAME": without_argument(
                lambda: self._sign_in(self._referenced_sign_in()).cookie_name
            ),
            "TICKET": lambda text: self.create_ticket(text or ""),
        }

    def _referenced_sign_in(self) -> str:
        """The sign-in that a vector is about."""
        states = placeholder_arguments(self.vector.path + self.vector.body, "STATE")
        return states[0].partition("|")[0] if states else "ok"

    def _sign_in(self, kind: str) -> PendingSignIn:
        name = kind.replace("_", "-")
        if name not in self._sign_ins:
            if name in _SPECIAL_SIGN_INS:
                self._sign_ins[name] = _SPECIAL_SIGN_INS[name](self.host)
            elif name in _ORDINARY_SIGN_INS | USER_NAMES or name == "no-verifier":
                self._sign_ins[name] = begin_sign_in(host=self.host)
            else:
                raise UnsupportedVector(f"unknown sign-in `{kind}`")
        return self._sign_ins[name]

    def _state(self, text: str) -> str:
        kind, _, mutation = text.partition("|")
        return mutate_token(self._sign_in(kind).transaction.state, mutation)

    def _flow_cookie(self, text: str | None) -> str:
        if text and (many := re.fullmatch(r"x([0-9]+)", text)):
            return "; ".join(begin_sign_in(host=self.host).cookie for _ in range(int(many[1])))
        kind = text or self._referenced_sign_in()
        pending = self._sign_in(kind)
        # Nonce, state and verifier come of one seed, which is the end of what is sealed.
        return pending.cookie[:-43] if kind == "no_verifier" else pending.cookie

    def _code(self, kind: str) -> str:
        user = kind if kind in USER_NAMES else "alice"
        transaction = self._sign_in(self._referenced_sign_in()).transaction
        code = self.users.provider.issue_code_for(transaction, kind=kind, user=user)
        self.codes.append(code)
        return code

    def _jwt(self, text: str) -> str:
        tokens = self.users.provider.token_factory
        kind, _, rest = text.partition(" ")
        if kind != "logout":
            token = tokens.make_token(text, tokens.good_claims())
        else:
            claims = tokens.logout_claims(subject=LOGGED_OUT_USER, session=self.sid)
            if rest == "jti=used":
                # For this user, whatever the session.
                del claims["sid"]
                token = tokens.sign(claims, typ="logout+jwt")
                assert self._submit_logout_token(token) == 200
            else:
                token = tokens.make_token(rest, claims, typ="logout+jwt")
        self.tokens.append(token)
        return token

    def _submit_logout_token(self, token: str) -> int:
        body = f"logout_token={token}".encode()
        headers = (
            ("Host", AUTH),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", str(len(body))),
        )
        response = send(
            self.users.sidecar.web,
            method="POST",
            target="/.auth/backchannel-logout",
            headers=headers,
            body=body,
        )
        return response.status

    def create_ticket(self, text: str) -> str:
        """As the browser that signs in for another host meets it, one step before it is used."""
        hosts = {"for-app": APP, "for-admin": "admin.example.com"}
        if text not in hosts:
            raise UnsupportedVector(f"unknown ticket `{text}`")
        browser = self.users.sign_in()
        start = f"https://{hosts[text]}/.auth/start?rd=https://{hosts[text]}/"
        ticket_url = (
            browser.follow(browser.get(start), last_path="/.auth/handover").one("location") or ""
        )
        ticket = ticket_url.partition("ticket=")[2]
        assert ticket, ticket_url
        self.tickets.append((ticket_url, browser))
        return ticket
