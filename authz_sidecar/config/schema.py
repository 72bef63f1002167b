"""The shape of a configuration: every key, its type, its default and what it is for.

The descriptions here are the source of the configuration reference. Rules that involve more than
one key live in `check`; policies stay raw, `policy` compiles them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    WithJsonSchema,
)

from authz_sidecar.config import grammar
from authz_sidecar.config.values import FromOutside
from authz_sidecar.core.header_template import HeaderTemplate, parse_header_template
from authz_sidecar.core.positions import Positions, unplaced
from authz_sidecar.core.urls import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Secret:
    """Text that no log, message or traceback shows. `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if value is None:
        raise ValueError("must be text, there is nothing here")
    if isinstance(value, bool | int | float):
        raise ValueError("must be text, put it in quotes")
    raise ValueError("must be text")


def _parsed(parse: Callable[[str], T], **schema: Any) -> tuple[PlainValidator, WithJsonSchema]:
    """A type that is written as text."""
    return (
        PlainValidator(lambda value: parse(_text(value))),
        WithJsonSchema({"type": "string", **schema}),
    )


def _duration(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"needs a unit, such as `{value}s`")
    return grammar.duration(_text(value))


def _number(value: object) -> object:
    """Variables and files hold text; a number in one is read here."""
    if isinstance(value, FromOutside) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _truth(value: object) -> object:
    if isinstance(value, FromOutside) and value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise ValueError("must be `true` or `false`")
    return value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _list(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return value


def _map(value: object) -> object:
    if not isinstance(value, dict | BaseModel):
        raise ValueError("must be a map of keys and values")
    return value


def _secret(text: str) -> Secret:
    if not text:
        raise ValueError("must not be empty")
    return Secret(text)


def _filled(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    for at, value in enumerate(values):
        if value in values[:at]:
            raise ValueError(f"`{value}` is given twice")
    return values


Text = Annotated[str, *_parsed(_filled)]
SecretText = Annotated[Secret, *_parsed(_secret)]
Number = Annotated[int, BeforeValidator(_number)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Duration = Annotated[
    float,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "examples": ["14h", "1h30m", "30s"]}),
]
Listen = Annotated[grammar.ListenAddress, *_parsed(grammar.listen_address)]
NetworkText = Annotated[grammar.Network, *_parsed(grammar.network)]
OriginText = Annotated[Origin, *_parsed(grammar.origin, examples=["https://app.example.com"])]
Issuer = Annotated[str, *_parsed(grammar.issuer)]
Name = Annotated[str, *_parsed(grammar.name)]
HeaderName = Annotated[str, *_parsed(grammar.header_name)]
TemplateText = Annotated[
    HeaderTemplate,
    *_parsed(parse_header_template, examples=["Bearer ${pomerium.jwt}"]),
]
CookieName = Annotated[str, *_parsed(grammar.cookie_name)]
CookieDomain = Annotated[str, *_parsed(grammar.cookie_domain)]
BasePath = Annotated[str, *_parsed(grammar.base_path)]

Listed = BeforeValidator(_list)
Mapped = BeforeValidator(_map)
OneOrMany = BeforeValidator(_one_or_many)
OneOrManySchema = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)
Distinct = AfterValidator(_unique)

AdapterName = Literal["nginx", "ingress-nginx", "traefik", "envoy", "caddy", "haproxy"]
ADAPTERS: tuple[AdapterName, ...] = (
    "nginx",
    "ingress-nginx",
    "traefik",
    "envoy",
    "caddy",
    "haproxy",
)

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        validate_default=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


class ClientCertificate(_Section):
    """Client certificates, where the proxy verifies them and forwards what it found."""

    header: HeaderName = Field(description="The header in which the proxy forwards it.")
    format: Literal["nginx", "traefik", "xfcc"] = Field(
        description="How it is written there: nginx's `$ssl_client_escaped_cert`, Traefik's"
        " `passTLSClientCert`, or Envoy's `x-forwarded-client-cert`;"
        " [more](policy.md#requests)."
    )


class Throttle(_Section):
    """How often one network (an IPv4 address, or an IPv6 network of 64 bits) may ask for what costs
    work: beginning, finishing and handing over sign-ins, and tokens."""

    requests: Number = Field(
        default=300, ge=1, description="So many in one window; one sign-in takes about four."
    )
    window: Duration = Field(default=60.0, description="The length of a window.")
    exempt: Annotated[tuple[NetworkText, ...], Listed] = Field(
        default=(),
        description="Networks that are not counted: the address of an office with many people, or"
        " `[0.0.0.0/0, ::/0]` where somebody else throttles.",
    )


class Server(_Section):
    """Where the sidecar listens and whom it answers."""

    listen: Listen = Field(
        default=grammar.TcpAddress("127.0.0.1", 9180),
        description="Where proxies ask: `address:port` or `unix:/path`. Anything but loopback needs"
        " `trusted_proxies` spelled out.",
    )
    web_listen: Listen = Field(
        default=grammar.TcpAddress("127.0.0.1", 9181),
        description="Where sign-in, sign-out and their pages are served; the proxy routes"
        " `base_path` of every protected host here.",
    )
    ops_listen: Listen = Field(
        default=grammar.TcpAddress("127.0.0.1", 9182),
        description="Health, metrics and status, for operators.",
    )
    adapters: Annotated[tuple[AdapterName, ...], Listed, Distinct] = Field(
        default=ADAPTERS,
        min_length=1,
        description="The check endpoints that answer. Name yours: the others only invite mistakes.",
    )
    workers: Number = Field(default=1, ge=1, le=256, description="Processes that answer.")
    base_path: BasePath = Field(
        default="/.auth",
        description="The path under which sign-in lives on every protected host.",
    )
    trusted_proxies: Annotated[tuple[NetworkText, ...], Listed] = Field(
        default=(grammar.network("127.0.0.1/32"), grammar.network("::1/128")),
        description="Networks that may ask. A Unix socket's file permissions decide for itself.",
    )
    trusted_hops: Annotated[tuple[NetworkText, ...], Listed] = Field(
        default=(),
        description="Networks of proxies before your proxy: skipped, from the right, when the"
        " client's address is read from `X-Forwarded-For`.",
    )
    auth_host: OriginText | None = Field(
        default=None,
        description="A central sign-in host: one callback URL at the provider, and single sign-on"
        " across all other hosts, whatever their domains.",
    )
    client_certificate: ClientCertificate | None = Field(
        default=None,
        description="Only if the proxy verifies client certificates and overwrites this header.",
    )
    fast_lane: Truth = Field(
        default=True,
        description="Answer checks from memory where everything is at hand. The answers are the same"
        " without; to be turned off only to find that out.",
    )
    throttle: Annotated[Throttle, Mapped] = Field(
        default_factory=Throttle,
        description="How often one network may ask for what costs work. Too often is 429 with"
        " `Retry-After`.",
    )
    strip_cookie: Truth = Field(
        default=True,
        description="Hand the proxy a `Cookie` header without our own cookies, so that apps never"
        " see a session.",
    )
    allow_insecure_http: Truth = Field(
        default=False,
        description="Allow `http://` routes on names that are not loopback: cookies then travel in"
        " the clear.",
    )


class Cookie(_Section):
    """The session's cookie."""

    name: CookieName = Field(
        default="authz",
        description="`__Host-` is put before it, or `__Secure-` with a `domain`.",
    )
    same_site: Literal["lax", "strict"] = Field(
        default="lax",
        description="`strict` makes links from other sites arrive signed out at first.",
    )
    domain: CookieDomain | None = Field(
        default=None,
        description="Share one cookie between all subdomains of this domain, which gives up the"
        " isolation between them.",
    )


class NearCache(_Section):
    """Verified sessions in the memory of each worker, dropped the moment Redis says that something
    about them has changed."""

    entries: Number = Field(
        default=100_000, ge=0, description="So many sessions at most; 0 keeps none."
    )
    mebibytes: Number = Field(
        default=128,
        ge=1,
        le=1 << 20,
        description="So much memory at most; a session takes 1-3 KiB.",
    )


class Sessions(_Section):
    """Where sessions are kept and for how long."""

    store: SecretText = Field(
        description="`redis://host:6379/0`, `rediss://` (TLS), `unix:///path?db=0`,"
        " `redis+sentinel://`, `redis+cluster://`, or `memory://` for one worker and trials.",
    )
    lifetime: Duration = Field(
        default=14 * 3600.0, description="A session ends after this, always."
    )
    idle_timeout: Duration = Field(
        default=3600.0, description="A session that nobody uses ends after this."
    )
    grace: Duration = Field(
        default=0.0,
        description="How long sessions already verified and in memory may serve while the store is"
        " down.",
    )
    near_cache: NearCache = Field(
        default_factory=NearCache, description="Sessions in the memory of each worker."
    )
    cookie: Cookie = Field(default_factory=Cookie, description="The session's cookie.")


class Claims(_Section):
    """Which claim says what about a user."""

    user: Text = Field(default="sub", description="The claim that identifies the user.")
    email: Text = Field(default="email", description="The claim with the e-mail address.")
    groups: Text = Field(default="groups", description="The claim with the groups.")
    name: Text = Field(default="name", description="The claim with the name to show.")


class IdentityProvider(_Section):
    """An OpenID provider that people sign in with."""

    type: Literal["oidc"] = Field(default="oidc", description="What kind of provider it is.")
    issuer: Issuer = Field(
        description="Its issuer URL, letter by letter. `http://` on loopback names only."
    )
    client_id: Text = Field(description="The client registered there.")
    client_secret: SecretText | None = Field(
        default=None,
        description="The client's secret; absent for a public client (PKCE is always on).",
    )
    response_mode: Literal["query", "form_post"] = Field(
        default="query", description="How the provider returns the answer to the callback."
    )
    scopes: Annotated[tuple[Text, ...], Listed, Distinct] = Field(
        default=("openid", "profile", "email"), description="What to ask for; `openid` is required."
    )
    claims: Annotated[Claims, Mapped] = Field(
        default_factory=Claims, description="Which claim says what about a user."
    )
    allow_unverified_email: Truth = Field(
        default=False,
        description="Believe an e-mail address that the provider does not call verified.",
    )
    require_verified_email: Truth = Field(
        default=False,
        description="Believe an e-mail address only where the provider says that it is verified, not"
        " also where it says nothing.",
    )
    client_authentication: Literal["client_secret_basic", "client_secret_post"] | None = Field(
        default=None,
        description="How the client proves itself at the token endpoint. What the provider offers"
        " when absent, `client_secret_basic` first.",
    )
    algorithms: Annotated[tuple[Algorithm, ...], Listed, Distinct] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="The signatures that its tokens may have; name fewer to accept fewer.",
    )


class Headers(_Section):
    """What the app is told about the user."""

    preset: Literal["default", "pomerium", "oauth2-proxy", "authelia"] = Field(
        default="default",
        description="The names of the identity headers: `default` is `X-Auth-User`, `-Email`,"
        " `-Groups`, `-Name` and `-Assertion`; the others are those that each product sends.",
    )
    claims: Annotated[dict[HeaderName, Text], Mapped] = Field(
        default_factory=dict, description="More headers: name of the header, name of the claim."
    )
    groups: Annotated[tuple[Text, ...], Listed, OneOrMany, OneOrManySchema] = Field(
        default=("policy",),
        description="Which groups are passed on: `policy` (those that the host's policies mention),"
        " `all`, or a list of names.",
    )


class Assertion(_Section):
    """The signed statement of identity that apps can verify."""

    ttl: Duration = Field(default=300.0, description="How long one is valid.")
    signing_keys: Annotated[tuple[SecretText, ...], Listed] = Field(
        default=(),
        description="Private keys in PEM. The first signs, all are published; derived from"
        " `secret_keys` (ES256) when absent.",
    )


class RecordTable(_Section):
    """A table that the criterion `record` looks up in, by user or by the client's address."""

    by: Literal["user", "address"] = Field(
        default="user",
        description="What finds a record: the user, as the criterion `user` compares it, or the"
        " narrowest network around the client's address.",
    )
    format: Literal["yaml", "csv"] = Field(
        default="yaml",
        description="How `table` is written where it is text: `yaml`, which JSON is too, or `csv`,"
        " the first row naming the fields.",
    )
    table: object = Field(
        description="The records: a map from users or networks to maps of fields, or text, which"
        " `{file: PATH}` reads from a file of up to 1 MiB; [more](policy.md#tables).",
    )


class RouteConfig(_Section):
    """One protected place: a host, a part of its paths, and who may pass."""

    name: Text | None = Field(
        default=None, description="Its name in logs, metrics and explanations."
    )
    from_: Text = Field(
        alias="from",
        description="The origin it protects: `https://app.example.com`, `*.example.com` (one label)"
        " or `**.example.com` (any depth); with a port if it is not the default.",
        examples=["https://app.example.com"],
    )
    prefix: Text | None = Field(default=None, description="Paths that begin with this.")
    path: Text | None = Field(default=None, description="This path alone.")
    regex: Text | None = Field(default=None, description="Paths that match this, from end to end.")
    prefix_match: Literal["segment", "plain"] = Field(
        default="segment",
        description="`segment`: `/admin` covers `/admin/x` and not `/administrator`; `plain` compares"
        " letters alone.",
    )
    paths: Literal["exact", "ignore_case"] = Field(
        default="exact",
        description="`ignore_case` where the app does not tell letter case apart.",
    )
    identity_provider: (
        Annotated[tuple[Name, ...], Listed, OneOrMany, Distinct, OneOrManySchema] | None
    ) = Field(
        default=None,
        min_length=1,
        description="The provider, or a list to choose from; the session of another one opens"
        " nothing here. `default_identity_provider` when absent.",
    )
    identity: Literal["none", "optional"] | None = Field(
        default=None,
        description="On public routes: `none` (the default there) asks for no session, `optional`"
        " passes the identity on when there is one.",
    )
    policies: Annotated[tuple[Text, ...], Listed, OneOrMany, Distinct, OneOrManySchema] = Field(
        default=(), description="Names of `policies` that decide here."
    )
    policy: object = Field(default=None, description="A policy of its own, in PPL.")
    allow_public_unauthenticated_access: Truth = Field(
        default=False, description="Everybody passes, signed in or not."
    )
    allow_any_authenticated_user: Truth = Field(
        default=False, description="Everybody who is signed in passes."
    )
    cors_allow_preflight: Truth = Field(
        default=False, description="CORS preflights pass, which never carry a session."
    )
    allowed_domains: Annotated[tuple[Text, ...], Listed] = Field(
        default=(), description="Users with an e-mail address in one of these domains pass."
    )
    allowed_users: Annotated[tuple[Text, ...], Listed] = Field(
        default=(), description="These users pass, by e-mail address or user id."
    )
    allowed_idp_claims: Annotated[dict[Text, Annotated[tuple[object, ...], Listed]], Mapped] = (
        Field(
            default_factory=dict,
            description="Users with one of these values in one of these claims pass.",
        )
    )
    allowed_origins: Annotated[tuple[OriginText, ...], Listed] = Field(
        default=(), description="Other sites whose pages may open WebSockets here."
    )
    set_request_headers: Annotated[dict[HeaderName, TemplateText], Mapped] = Field(
        default_factory=dict,
        description="More headers for the app: text, with `${pomerium.jwt}` and other"
        " [references](headers.md#headers-of-a-route) filled in.",
    )


Routes = Annotated[tuple[Annotated[RouteConfig, Mapped], ...], Listed]


class Config(_Section):
    """The configuration of authz-sidecar."""

    # Both are gone once a configuration is together; editors and the reference know them from here.
    extends: Text | None = Field(
        default=None,
        description="A file, or a directory of them, that this one [stands on](environments.md).",
    )
    variables: Annotated[dict[Name, object], Mapped] = Field(
        default_factory=dict,
        description='Values of any type by name, for `{var: NAME}` and `{text: "…{NAME}…"}`.',
    )
    server: Annotated[Server, Mapped] = Field(
        default_factory=Server, description="Where the sidecar listens and whom it answers."
    )
    secret_keys: Annotated[tuple[SecretText, ...], Listed] = Field(
        min_length=1,
        description="Secrets of at least 32 bytes that everything else is derived from. The first"
        " seals, all open: rotation signs nobody out. `authz-sidecar keys new` makes one.",
    )
    sessions: Annotated[Sessions, Mapped] = Field(
        description="Where sessions are kept and for how long."
    )
    identity_providers: Annotated[dict[Name, Annotated[IdentityProvider, Mapped]], Mapped] = Field(
        default_factory=dict, description="Where people sign in, by a name of your choice."
    )
    default_identity_provider: Name | None = Field(
        default=None,
        description="The provider of routes that name none. Required with several providers unless"
        " every route names its own.",
    )
    token_issuers: Annotated[dict[Name, object], Mapped] = Field(
        default_factory=dict, max_length=0, description="Reserved for bearer tokens of machines."
    )
    headers: Annotated[Headers, Mapped] = Field(
        default_factory=Headers, description="What the app is told about the user."
    )
    assertion: Annotated[Assertion, Mapped] = Field(
        default_factory=Assertion,
        description="The signed statement of identity that apps can verify.",
    )
    policies: Annotated[dict[Text, object], Mapped] = Field(
        default_factory=dict, description="Policies by name, for use in several routes, in PPL."
    )
    records: Annotated[dict[Name, Annotated[RecordTable, Mapped]], Mapped] = Field(
        default_factory=dict,
        description="Tables by name, for the criterion `record`. Read with the configuration.",
    )
    routes: Routes = Field(
        default=(), description="What is protected. A host without a route is refused."
    )

    _positions: Positions = PrivateAttr(default_factory=lambda: unplaced("configuration"))

    @property
    def positions(self) -> Positions:
        """Where each key was written."""
        return self._positions

    def placed(self, positions: Positions) -> Self:
        """The same configuration, knowing where it was written."""
        copy = self.model_copy()
        copy._positions = positions  # noqa: SLF001 -- a copy of its own
        return copy
