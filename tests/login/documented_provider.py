"""Plays a provider as its documentation describes it: over HTTP, on loopback, signed by keys of the
tests. What each kind says, and what has to come of it, is in `documented.py`."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from authz_sidecar.app.providers import build_providers
from authz_sidecar.config.schema import Config
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.support import signed_tokens
from tests.support.sign_in import APP
from tests.support.sign_in_steps import start_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx2

    from tests.servers.browser import Browser

KEY = signed_tokens.signing_key("RS256")
CLIENT_KEY = signed_tokens.signing_key("ES256")
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


def provider_settings(name: str, configured: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration makes of a provider, as `House` takes it."""
    config = Config.model_validate(
        {
            "secret_keys": ["k" * 32],
            "sessions": {"store": "memory://"},
            "identity_providers": {name: configured},
            "routes": [],
        }
    )
    settings = build_providers(config, None)[name].settings
    return {
        each.name: getattr(settings, each.name)
        for each in dataclasses.fields(settings)
        if each.name != "name"
    }


@dataclass(kw_only=True)
class DocumentedProvider:
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
    form_post_parameters: Mapping[str, str] | None = None
    expected_parameters: Mapping[str, str | None] = field(default_factory=dict)
    """What the request for sign-in has to say; None for what it must not."""
    expected_identity: Mapping[str, object] = field(default_factory=dict)
    expected_logout_url: str | None = None


@dataclass
class SimulatedProvider:
    """A provider that answers as documented."""

    documentation: DocumentedProvider
    server: HostileProvider
    nonce: str = ""
    claims: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        documentation, answers = self.documentation, self.server.answers
        self.claims = dict(self.fill_base(documentation.claims or {}))
        discovery = {
            "issuer": self.issuer,
            **{name: f"{self.base}{path}" for name, path in documentation.endpoints.items()},
            **self.fill_base(documentation.discovery),
        }
        if documentation.claims is not None:
            issuer_path = f"{urlsplit(self.issuer).path.removesuffix('/')}"
            answers[f"{issuer_path}/.well-known/openid-configuration"] = document(discovery)
            answers[documentation.endpoints["jwks_uri"]] = document({"keys": [KEY.jwk]})
        if documentation.userinfo is not None:
            answers[documentation.endpoints["userinfo_endpoint"]] = document(
                self.fill_base(documentation.userinfo)
            )
        for path, document_body in documentation.api.items():
            answers[path] = self._api(document_body)
        answers[documentation.endpoints["token_endpoint"]] = lambda _: document(
            self.token_response()
        )

    @property
    def base(self) -> str:
        return self.server.issuer

    @property
    def issuer(self) -> str:
        return f"{self.base}{self.documentation.path}"

    def fill_base(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{base}", self.base)
        if isinstance(value, dict):
            return {key: self.fill_base(inner) for key, inner in value.items()}
        return [self.fill_base(inner) for inner in value] if isinstance(value, list) else value

    def settings(self, **more: object) -> dict[str, Any]:
        configured = {
            "type": self.documentation.kind,
            "issuer": self.issuer,
            "client_id": signed_tokens.CLIENT_ID,
            **({} if self.documentation.kind == "apple" else {"client_secret": "s3cret"}),
            **self.fill_base(self.documentation.settings),
            **more,
        }
        return provider_settings("corp", configured)

    def token_response(self) -> dict[str, object]:
        response: dict[str, object] = {
            "token_type": "Bearer",
            "access_token": "at",
            "expires_in": 3599,
        }
        if self.documentation.claims is not None:
            now = int(time.time())
            good = {"iss": self.issuer, "iat": now, "exp": now + 3600, "nonce": self.nonce}
            response["id_token"] = KEY.sign(signed_tokens.claims(**{**good, **self.claims}))
        return response | dict(self.documentation.token)

    def _api(self, body: object) -> Answer | Callable[[bytes], Answer]:
        """A dict whose keys begin with `?` answers by query."""
        if not (isinstance(body, dict) and all(str(key).startswith("?") for key in body)):
            return document(self.fill_base(body))

        def by_query(_body: bytes) -> Answer:
            query = self.server.seen[-1][1].partition("?")[2]
            return document(self.fill_base(body).get(f"?{query}", {"error": query}))

        return by_query

    async def sign_in(self, browser: Browser) -> httpx2.Response:
        """Through start, the provider and the callback; the last answer of ours."""
        redirect = await browser.get(start_url(APP, "/x"))
        query = dict(parse_qsl(urlsplit(redirect.headers["location"]).query))
        self.nonce = query.get("nonce", "")
        parameters = {"code": "c", "state": query["state"]}
        if query.get("response_mode") == "form_post":
            form = {**parameters, **(self.documentation.form_post_parameters or {})}
            return await browser.request("POST", f"{APP}/.auth/callback/corp", data=form)
        return await browser.request("GET", f"{APP}/.auth/callback/corp", params=parameters)

    def token_request_form(self) -> dict[str, str]:
        path = self.documentation.endpoints["token_endpoint"]
        body = next(body for _, at, _, body in self.server.seen if at == path)
        return dict(parse_qsl(body.decode()))
