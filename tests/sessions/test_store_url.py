"""What `sessions.store` may say, and that a wrong URL's message keeps its password."""

from __future__ import annotations

import pytest

from authz_sidecar.errors import StartupError
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.memory_store import MemoryStore
from authz_sidecar.sessions.store_url import (
    SentinelCredentials,
    StoreKind,
    StoreLocation,
    StorePath,
    TLSFiles,
    parse_store_url,
)

HOST = (("h", 6379),)


@pytest.mark.parametrize(
    ("url", "location", "shown"),
    [
        pytest.param("memory://", StoreLocation(kind=StoreKind.MEMORY), "memory://", id="memory"),
        pytest.param(
            "redis://h",
            StoreLocation(kind=StoreKind.REDIS, hosts=HOST),
            "redis://h:6379",
            id="host",
        ),
        pytest.param(
            "redis://127.0.0.1:1234/7",
            StoreLocation(kind=StoreKind.REDIS, hosts=(("127.0.0.1", 1234),), path=StorePath(db=7)),
            "redis://127.0.0.1:1234",
            id="port and database",
        ),
        pytest.param(
            "redis://[::1]:1234?db=7",
            StoreLocation(kind=StoreKind.REDIS, hosts=(("::1", 1234),), path=StorePath(db=7)),
            "redis://[::1]:1234",
            id="IPv6",
        ),
        pytest.param(
            "redis://:p%40ss@h/",
            StoreLocation(kind=StoreKind.REDIS, hosts=HOST, password="p@ss"),
            "redis://h:6379",
            id="password alone",
        ),
        pytest.param(
            "redis://al%3Aice:p%2Fss%25@h",
            StoreLocation(kind=StoreKind.REDIS, hosts=HOST, username="al:ice", password="p/ss%"),
            "redis://h:6379",
            id="user and password",
        ),
        pytest.param(
            "rediss://h?ssl_ca_certs=/etc/ca.pem",
            StoreLocation(kind=StoreKind.REDIS, hosts=HOST, tls=TLSFiles(ca_certs="/etc/ca.pem")),
            "rediss://h:6379",
            id="TLS",
        ),
        pytest.param(
            "unix:///run/r.sock?db=2",
            StoreLocation(kind=StoreKind.UNIX, path=StorePath(socket_path="/run/r.sock", db=2)),
            "unix:///run/r.sock",
            id="socket",
        ),
        pytest.param(
            "unix://:pw@/run/r.sock",
            StoreLocation(
                kind=StoreKind.UNIX, path=StorePath(socket_path="/run/r.sock"), password="pw"
            ),
            "unix:///run/r.sock",
            id="socket with a password",
        ),
        pytest.param(
            "redis+sentinel://u:pw@a,b:1/main/3?sentinel_password=spw&tls=true",
            StoreLocation(
                kind=StoreKind.SENTINEL,
                hosts=(("a", 26379), ("b", 1)),
                path=StorePath(service="main", db=3),
                username="u",
                password="pw",
                tls=TLSFiles(),
                sentinel=SentinelCredentials(password="spw"),
            ),
            "redis+sentinel://a:26379,b:1/main",
            id="sentinel",
        ),
        pytest.param(
            "redis+cluster://a,b:1",
            StoreLocation(kind=StoreKind.CLUSTER, hosts=(("a", 6379), ("b", 1))),
            "redis+cluster://a:6379,b:1",
            id="cluster",
        ),
    ],
)
def test_locations(url: str, location: StoreLocation, shown: str) -> None:
    assert parse_store_url(url) == location
    assert str(location) == shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("", "must begin with one of", id="nothing"),
        pytest.param("redis:h", "must begin with one of", id="no slashes"),
        pytest.param("mysql://h", "must begin with one of", id="another database"),
        pytest.param("memory://h", "names a host", id="memory with a host"),
        pytest.param("memory:///x", "something after", id="memory with a path"),
        pytest.param("memory://?db=1", "does not support", id="memory with an option"),
        pytest.param("redis://", "has no host", id="no host"),
        pytest.param("redis://h:0", "has no host", id="port zero"),
        pytest.param("redis://h:65536", "has no host", id="port too large"),
        pytest.param("redis://h/x", "not a number", id="database is a word"),
        pytest.param("redis://h?db=x", "not a number", id="database option is a word"),
        pytest.param("redis://h?timeout=1", "does not support", id="unknown option"),
        pytest.param("redis://h?db=1&db=2", "one twice", id="option twice"),
        pytest.param("redis://h?db", "without a value", id="option without value"),
        pytest.param("redis://h?tls=true", "does not support", id="TLS by option"),
        pytest.param("redis://h?sentinel_password=x", "does not support", id="sentinel's option"),
        pytest.param("redis://a,b", "several hosts", id="several hosts"),
        pytest.param("redis://h#x", "stray", id="fragment"),
        pytest.param("redis://:100%@h", "stray", id="bare percent"),
        pytest.param("unix://", "names no socket", id="no socket"),
        pytest.param("unix://run/r.sock", "names a host", id="relative socket"),
        pytest.param("redis+sentinel://a", "names no service", id="no service"),
        pytest.param("redis+sentinel://a/s?tls=yes", "neither", id="TLS maybe"),
        pytest.param("redis+cluster://a/1", "names a database", id="cluster with a database"),
    ],
)
def test_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_store_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/x@h",
        "redis://:hunter2?x@h",
        "redis://:hunter2#x@h",
        "redis://:hunter2@x@h:x",
        "redis://:%zzhunter2@h",
        "redis+sentinel://:hunter2@h",
        "redis://h?password=hunter2",
        "memory://:hunter2@",
        "hunter2",
    ],
)
def test_no_message_repeats_a_password(url: str) -> None:
    with pytest.raises(StartupError, match=r"`sessions\.store` ") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_nothing_shown_of_a_location_is_a_password() -> None:
    location = parse_store_url("redis+sentinel://u:hunter2@h/s?sentinel_password=hunter2")
    assert "hunter2" not in f"{location} {location!r}"


def test_memory_is_opened_with_its_clock() -> None:
    assert isinstance(open_store("memory://", clock=lambda: 0.0), MemoryStore)
