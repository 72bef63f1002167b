"""An OpenID provider that holds a client to what it registered: redirect URIs letter by letter, PKCE,
the client's secret, codes that are good once. It signs in whoever comes, without a question.

`leads_to` makes it a hostile one, which sends people on to where it likes.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.servers.hostile_provider import (
    Answer,
    HostileProvider,
    document,
    running_hostile_provider,
)
from tests.support import signed_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = signed_tokens.signing_key("ES256")


@dataclass(kw_only=True)
class StrictProvider:
    """`codes` are those that wait to be redeemed, with the request that each is the answer to;
    `received` are the codes that came to the token endpoint. `registered` empty: any redirect URI
    will do. `sends_iss` and `promises_iss`: whether answers carry `iss`, and discovery says so."""

    server: HostileProvider
    client_secret: str
    client_id: str = signed_tokens.CLIENT_ID
    user: str = "alice"
    registered: frozenset[str] = frozenset()
    sends_iss: bool = False
    leads_to: Callable[[dict[str, str]], str] | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.offers()
        answers = self.server.answers
        answers["/jwks"] = document({"keys": [KEY.jwk]})
        answers["/authorize"] = lambda _: self._authorize()
        answers["/token"] = self._token

    @property
    def issuer(self) -> str:
        return self.server.issuer

    def offers(self, *, promises_iss: bool = False, **changes: object) -> None:
        key = "authorization_response_iss_parameter_supported"
        self.server.offers(**{key: promises_iss} | changes)

    def authorization_url(self, request: dict[str, str]) -> str:
        return f"{self.issuer}/authorize?{urlencode(request)}"

    def _authorize(self) -> Answer:
        request = dict(parse_qsl(urlsplit(self.server.seen[-1][1]).query))
        if self.leads_to is not None:
            return _redirect(self.leads_to(request))
        uri = request["redirect_uri"]
        if request["client_id"] != self.client_id or (
            self.registered and uri not in self.registered
        ):
            return document({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = request
        answer = {"code": code, "state": request["state"]}
        answer |= {"iss": self.issuer} if self.sends_iss else {}
        if request.get("response_mode") == "form_post":
            return _form(uri, answer)
        return _redirect(f"{uri}?{urlencode(answer)}")

    def _token(self, body: bytes) -> Answer:
        form = dict(parse_qsl(body.decode()))
        self.received.append(form.get("code", ""))
        request = self.codes.pop(form.get("code", ""), None)
        pair = b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            request is None
            or self.server.asking.headers.get("authorization") != f"Basic {pair}"
            or urlsafe_b64encode(digest).rstrip(b"=").decode() != request["code_challenge"]
            or form.get("redirect_uri") != request["redirect_uri"]
        ):
            return document({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = signed_tokens.claims(
            iss=self.issuer, sub=self.user, iat=now, exp=now + 300, nonce=request["nonce"]
        )
        return document(
            {"token_type": "Bearer", "access_token": "at", "id_token": KEY.sign(claims)}
        )


@contextlib.contextmanager
def running_strict_provider(*, client_secret: str) -> Iterator[StrictProvider]:
    with running_hostile_provider() as server:
        yield StrictProvider(server=server, client_secret=client_secret)


def _redirect(url: str) -> Answer:
    return Answer(status=303, headers={"location": url})


def _form(uri: str, answer: dict[str, str]) -> Answer:
    """OAuth 2.0 Form Post Response Mode: a page that posts the answer."""
    fields = "".join(
        f'<input type="hidden" name="{name}" value="{value}">' for name, value in answer.items()
    )
    page = f'<form method="post" action="{uri}">{fields}</form>'
    return Answer(body=page.encode(), headers={"content-type": "text/html"})
