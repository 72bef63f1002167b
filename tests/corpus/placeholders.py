"""What the placeholders of one vector stand for: `{STATE:x}`, `{CODE:x}` and `{FLOW_COOKIE}` of one
vector belong together, unless it says otherwise."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.corpus.client import Walker, send
from tests.corpus.deployment import APP, AUTH, COOKIE
from tests.corpus.people import EXPIRED_SECONDS, PERSONS, Flow, begun, damaged
from tests.corpus.vectors import Uninterpretable, filled, mentioned, plain, repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.corpus.people import People
    from tests.corpus.vectors import Vector

LOGGED_OUT = "lottie"
"""Whom logout tokens are about."""

_FLOWS: dict[str, Callable[[str], Flow]] = {
    "expired": lambda host: begun(host=host, age=EXPIRED_SECONDS),
    "rd-host-removed-from-allowlist": lambda host: begun(
        host=host, return_to="https://gone.example.com/secret"
    ),
    "no-provider": lambda host: begun(host=host, of="gone"),
}
_ORDINARY = frozenset(
    {"ok", "other", "victim", "attacker", "provider-a", "provider-b", "other-browser"}
) | {"used", "consumed"}


def without_provider(session: Callable[[str], str]) -> dict[str, Callable[[str | None], str]]:
    """What stands for itself: sessions by `session`, and tokens of nobody's making."""
    return {
        "COOKIE": plain(lambda: COOKIE),
        "COOKIE_BASE": plain(lambda: re.sub(r"^__(Host|Secure)-", "", COOKIE)),
        "RANDOM_SESSION_ID": plain(lambda: secrets.token_urlsafe(32)),
        "SESSION": lambda who: session(who or ""),
        "REPEAT": repeated,
        "BASIC": lambda pair: base64.b64encode((pair or "").encode()).decode(),
        "JWT": lambda _: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln",
        "OPAQUE": lambda _: secrets.token_urlsafe(24),
    }


@dataclass(kw_only=True)
class Filling:
    people: People
    vector: Vector
    host: str
    sid: str = field(default_factory=lambda: secrets.token_hex(8))
    codes: list[str] = field(default_factory=list)
    tickets: list[tuple[str, Walker]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    _flows: dict[str, Flow] = field(default_factory=dict)

    def filled(self) -> Vector:
        vector = self.vector
        values = self._values()
        return replace(
            vector,
            path=filled(vector.path, values),
            headers=tuple((filled(name, values), filled(v, values)) for name, v in vector.headers),
            body=filled(vector.body, values),
        )

    def _values(self) -> Mapping[str, Callable[[str | None], str]]:
        def session(who: str) -> str:
            return self.people.session(who, host=self.host, fresh=self.vector.adapter is None)

        return {
            **without_provider(session),
            "JWT": lambda text: self._jwt(text or ""),
            "OPAQUE": lambda text: self.people.idp.opaque(text or ""),
            "STATE": lambda text: self._state(text or ""),
            "CODE": lambda text: self._code(text or ""),
            "FLOW_COOKIE": self._flow_cookie,
            "FLOW_COOKIE_NAME": plain(lambda: self._flow(self._named()).cookie_name),
            "TICKET": lambda text: self.ticket(text or ""),
        }

    def _named(self) -> str:
        """The sign-in that a vector is about."""
        states = mentioned(self.vector.path + self.vector.body, "STATE")
        return states[0].partition("|")[0] if states else "ok"

    def _flow(self, kind: str) -> Flow:
        name = kind.replace("_", "-")
        if name not in self._flows:
            if name in _FLOWS:
                self._flows[name] = _FLOWS[name](self.host)
            elif name in _ORDINARY | PERSONS or name == "no-verifier":
                self._flows[name] = begun(host=self.host)
            else:
                raise Uninterpretable(f"unknown sign-in `{kind}`")
        return self._flows[name]

    def _state(self, text: str) -> str:
        kind, _, damage = text.partition("|")
        return damaged(self._flow(kind).attempt.state, damage)

    def _flow_cookie(self, text: str | None) -> str:
        if text and (many := re.fullmatch(r"x([0-9]+)", text)):
            return "; ".join(begun(host=self.host).cookie for _ in range(int(many[1])))
        kind = text or self._named()
        flow = self._flow(kind)
        # Nonce, state and verifier come of one seed, which is the end of what is sealed.
        return flow.cookie[:-43] if kind == "no_verifier" else flow.cookie

    def _code(self, kind: str) -> str:
        person = kind if kind in PERSONS else "alice"
        attempt = self._flow(self._named()).attempt
        code = self.people.idp.code_for(attempt, kind=kind, person=person)
        self.codes.append(code)
        return code

    def _jwt(self, text: str) -> str:
        mint = self.people.idp.mint
        kind, _, rest = text.partition(" ")
        if kind != "logout":
            token = mint.made(text, mint.good())
        else:
            claims = mint.logout(subject=LOGGED_OUT, session=self.sid)
            if rest == "jti=used":
                # For this user, whatever the session.
                del claims["sid"]
                token = mint.signed(claims, typ="logout+jwt")
                assert self._used(token) == 200
            else:
                token = mint.made(rest, claims, typ="logout+jwt")
        self.tokens.append(token)
        return token

    def _used(self, token: str) -> int:
        body = f"logout_token={token}".encode()
        headers = (
            ("Host", AUTH),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", str(len(body))),
        )
        answer = send(
            self.people.sidecar.web,
            method="POST",
            target="/.auth/backchannel-logout",
            headers=headers,
            body=body,
        )
        return answer.status

    def ticket(self, text: str) -> str:
        """As the browser that signs in for another host meets it, one step before it is used."""
        hosts = {"for-app": APP, "for-admin": "admin.example.com"}
        if text not in hosts:
            raise Uninterpretable(f"unknown ticket `{text}`")
        walker = self.people.signed_in()
        start = f"https://{hosts[text]}/.auth/start?rd=https://{hosts[text]}/"
        offered = walker.follow(walker.get(start), to="/.auth/handover").one("location") or ""
        ticket = offered.partition("ticket=")[2]
        assert ticket, offered
        self.tickets.append((offered, walker))
        return ticket
