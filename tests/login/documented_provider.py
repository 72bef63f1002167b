"""Plays a provider as its documentation describes it: over HTTP, on loopback, signed by keys of the
tests. What each kind says, and what has to come of it, is in `documented.py`."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from authz_sidecar.app.providers import providers
from authz_sidecar.config.schema import Config
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.support import signed_tokens
from tests.support.sign_in import APP
from tests.support.sign_in_steps import start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx2

    from tests.servers.browser import Browser

KEY = signed_tokens.signing_key("RS256")
CLIENT_KEY = signed_tokens.signing_key("ES256")
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


def settings_of(name: str, configured: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration makes of a provider, as `House` takes it."""
    config = Config.model_validate(
        {
            "secret_keys": ["k" * 32],
            "sessions": {"store": "memory://"},
            "identity_providers": {name: configured},
            "routes": [],
        }
    )
    settings = providers(config, None)[name].settings
    return {
        each.name: getattr(settings, each.name)
        for each in dataclasses.fields(settings)
        if each.name != "name"
    }


@dataclass(kw_only=True)
class Documented:
    """`path` is that of the issuer; `discovery` is what is said beyond the usual. `{base}` in a text
    is where the provider runs. `claims` None: the provider gives no ID token."""

    kind: str
    path: str = ""
    endpoints: Mapping[str, str] = field(
        default_factory=lambda: {
            "authorization_endpoint": "/authorize",
            "token_endpoint": "/token",
            "jwks_uri": "/jwks",
            "userinfo_endpoint": "/userinfo",
        }
    )
    discovery: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, object] | None = field(default_factory=dict)
    userinfo: Mapping[str, object] | None = None
    token: Mapping[str, object] = field(default_factory=dict)
    api: Mapping[str, object] = field(default_factory=dict)
    posted: Mapping[str, str] | None = None
    asked: Mapping[str, str | None] = field(default_factory=dict)
    """What the request for sign-in has to say; None for what it must not."""
    identity: Mapping[str, object] = field(default_factory=dict)
    signed_out: str | None = None


@dataclass
class Playing:
    """A provider that answers as documented."""

    documented: Documented
    server: HostileProvider
    nonce: str = ""
    claims: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        documented, answers = self.documented, self.server.answers
        self.claims = dict(self.filled(documented.claims or {}))
        discovery = {
            "issuer": self.issuer,
            **{name: f"{self.base}{path}" for name, path in documented.endpoints.items()},
            **self.filled(documented.discovery),
        }
        if documented.claims is not None:
            place = f"{urlsplit(self.issuer).path.removesuffix('/')}"
            answers[f"{place}/.well-known/openid-configuration"] = document(discovery)
            answers[documented.endpoints["jwks_uri"]] = document({"keys": [KEY.jwk]})
        if documented.userinfo is not None:
            answers[documented.endpoints["userinfo_endpoint"]] = document(
                self.filled(documented.userinfo)
            )
        for path, said in documented.api.items():
            answers[path] = self._api(said)
        answers[documented.endpoints["token_endpoint"]] = lambda _: document(self.tokens())

    @property
    def base(self) -> str:
        return self.server.issuer

    @property
    def issuer(self) -> str:
        return f"{self.base}{self.documented.path}"

    def filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{base}", self.base)
        if isinstance(value, dict):
            return {key: self.filled(inner) for key, inner in value.items()}
        return [self.filled(inner) for inner in value] if isinstance(value, list) else value

    def settings(self, **more: object) -> dict[str, Any]:
        configured = {
            "type": self.documented.kind,
            "issuer": self.issuer,
            "client_id": signed_tokens.CLIENT_ID,
            **({} if self.documented.kind == "apple" else {"client_secret": "s3cret"}),
            **self.filled(self.documented.settings),
            **more,
        }
        return settings_of("corp", configured)

    def tokens(self) -> dict[str, object]:
        said: dict[str, object] = {"token_type": "Bearer", "access_token": "at", "expires_in": 3599}
        if self.documented.claims is not None:
            now = int(time.time())
            good = {"iss": self.issuer, "iat": now, "exp": now + 3600, "nonce": self.nonce}
            said["id_token"] = KEY.sign(signed_tokens.claims(**{**good, **self.claims}))
        return said | dict(self.documented.token)

    def _api(self, said: object) -> Answer | Callable[[bytes], Answer]:
        """A dict whose keys begin with `?` answers by query."""
        if not (isinstance(said, dict) and all(str(key).startswith("?") for key in said)):
            return document(self.filled(said))

        def by_query(_body: bytes) -> Answer:
            query = self.server.seen[-1][1].partition("?")[2]
            return document(self.filled(said).get(f"?{query}", {"error": query}))

        return by_query

    async def sign_in(self, browser: Browser) -> httpx2.Response:
        """Through start, the provider and the callback; the last answer of ours."""
        asked = await browser.get(start(APP, "/x"))
        query = dict(parse_qsl(urlsplit(asked.headers["location"]).query))
        self.nonce = query.get("nonce", "")
        answer = {"code": "c", "state": query["state"]}
        if query.get("response_mode") == "form_post":
            form = {**answer, **(self.documented.posted or {})}
            return await browser.request("POST", f"{APP}/.auth/callback/corp", data=form)
        return await browser.request("GET", f"{APP}/.auth/callback/corp", params=answer)

    def form_of_token_request(self) -> dict[str, str]:
        path = self.documented.endpoints["token_endpoint"]
        body = next(body for _, at, _, body in self.server.seen if at == path)
        return dict(parse_qsl(body.decode()))
