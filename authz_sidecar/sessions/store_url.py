"""The grammar of `sessions.store`, the URL of a session store. Connects to nothing.

    memory://
    redis://[user:password@]host[:6379][/db]          rediss:// is the same over TLS
    unix://[user:password@]/path/to/redis.sock[?db=0]
    redis+sentinel://[user:password@]host[:26379][,host…]/service[/db]
    redis+cluster://[user:password@]host[:6379][,host…]

`?tls=true` selects TLS for Sentinel and Cluster. The options `ssl_ca_certs`, `ssl_certfile` and
`ssl_keyfile` are file names. `sentinel_username` and `sentinel_password` log in at the Sentinels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_ESCAPING = "in a user or password `/`, `?`, `#`, `@`, `:` and `%` are written as `%2F` and so on"
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class StoreKind(StrEnum):
    """The kind of a session store, by its URL scheme."""

    MEMORY = "memory"
    REDIS = "redis"
    UNIX = "unix"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSFiles:
    """The names of PEM files for TLS to the store. Certificates and host names are always
    verified."""

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelCredentials:
    """The user and password for the Sentinels themselves."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePath:
    """The part of a store URL after the hosts: the path of a socket, the name of a Sentinel
    service, and the number of a database."""

    socket_path: str = ""
    service: str = ""
    db: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLocation:
    """A parsed store URL. `str()` is for logs and contains neither user nor password."""

    kind: StoreKind
    hosts: tuple[tuple[str, int], ...] = ()
    path: StorePath = StorePath()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TLSFiles | None = None
    sentinel: SentinelCredentials | None = None

    def __str__(self) -> str:
        scheme = "rediss" if self.tls and self.kind is StoreKind.REDIS else self.kind.value
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )
        return f"{scheme}://{hosts}{self.path.socket_path or f'/{self.path.service}'.rstrip('/')}"


def parse_store_url(url: str) -> StoreLocation:
    """The location that a store URL names. Raises `ValueError`, whose message quotes no part of
    the URL, since any part may be a password."""
    scheme, separator, rest = url.partition("://")
    tls_scheme = scheme == "rediss"
    if not separator or (not tls_scheme and scheme not in set(StoreKind)):
        schemes = ", ".join(f"`{kind}://`" for kind in (*StoreKind, "rediss"))
        raise ValueError(f"must begin with one of {schemes}")
    kind = StoreKind.REDIS if tls_scheme else StoreKind(scheme)
    if "#" in rest or not _ESCAPES.fullmatch(rest):
        raise ValueError(f"has a stray `#` or `%`; {_ESCAPING}")
    before_query, _, query = rest.partition("?")
    authority, slash, path = before_query.partition("/")
    user, at_sign, hosts = authority.rpartition("@")
    username, _, password = user.partition(":")
    options = _parse_options(query)
    location = StoreLocation(
        kind=kind,
        hosts=_parse_hosts(hosts, kind),
        path=_parse_path(unquote(slash + path), options, kind),
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=_parse_tls(options, kind, required_by_scheme=tls_scheme),
        sentinel=_parse_sentinel(options, kind),
    )
    if options or (kind is StoreKind.MEMORY and at_sign):
        raise ValueError(f"has an option that `{scheme}://` does not support; {_ESCAPING}")
    return location


def _parse_options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or name in options:
            raise ValueError(f"has an option without a value, or one twice; {_ESCAPING}")
        options[name] = unquote(value)
    return options


def _parse_hosts(text: str, kind: StoreKind) -> tuple[tuple[str, int], ...]:
    if kind in (StoreKind.MEMORY, StoreKind.UNIX):
        if text:
            raise ValueError(f"names a host, which `{kind}://` does not have")
        return ()
    hosts = text.split(",")
    if len(hosts) > 1 and kind is StoreKind.REDIS:
        raise ValueError(
            "names several hosts, which need `redis+sentinel://` or `redis+cluster://`"
        )
    port = 26379 if kind is StoreKind.SENTINEL else 6379
    return tuple(_parse_host(host, default_port=port) for host in hosts)


def _parse_host(text: str, *, default_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(f"has no host, or one that is not `host` or `host:port`; {_ESCAPING}")
    return match["host"].strip("[]"), port


def _parse_path(path: str, options: dict[str, str], kind: StoreKind) -> StorePath:
    """The socket, the service and the database that this kind of store has."""
    db_option = options.pop("db", None) if kind is not StoreKind.MEMORY else None
    match kind:
        case StoreKind.UNIX:
            if path in ("", "/"):
                raise ValueError("names no socket, such as `unix:///run/redis.sock`")
            return StorePath(socket_path=path, db=_parse_db(db_option))
        case StoreKind.SENTINEL:
            service, _, db = path.removeprefix("/").partition("/")
            if not service:
                raise ValueError("names no service, such as `/mymaster` after the hosts")
            return StorePath(service=service, db=_parse_db(db or db_option))
        case StoreKind.REDIS:
            return StorePath(db=_parse_db(path.removeprefix("/") or db_option))
        case StoreKind.CLUSTER:
            if _parse_db(path.removeprefix("/") or db_option):
                raise ValueError("names a database, but a cluster has only database 0")
            return StorePath()
        case StoreKind.MEMORY:
            if path:
                raise ValueError("has something after `memory://`")
            return StorePath()


def _parse_db(text: str | None) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError(f"has a database that is not a number; {_ESCAPING}")
    return int(text)


def _parse_tls(
    options: dict[str, str], kind: StoreKind, *, required_by_scheme: bool
) -> TLSFiles | None:
    is_enabled = required_by_scheme
    if kind in (StoreKind.SENTINEL, StoreKind.CLUSTER):
        choice = options.pop("tls", "false")
        if choice not in ("true", "false"):
            raise ValueError("has a `tls` that is neither `true` nor `false`")
        is_enabled = choice == "true"
    if not is_enabled:
        return None
    ca_certs, certfile, keyfile = (options.pop(name, None) for name in _TLS_FILES)
    return TLSFiles(ca_certs=ca_certs, certfile=certfile, keyfile=keyfile)


def _parse_sentinel(options: dict[str, str], kind: StoreKind) -> SentinelCredentials | None:
    if kind is not StoreKind.SENTINEL:
        return None
    return SentinelCredentials(
        username=options.pop("sentinel_username", None),
        password=options.pop("sentinel_password", None),
    )
