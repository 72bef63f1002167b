"""Password files: which hashes are taken, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.config.checks.cross_section import find_problems
from authz_sidecar.config.checks.passwords import parse_password_file
from authz_sidecar.config.schema import Config

GOOD = "$2y$05$" + "a" * 53
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("bob:$apr1$x$y", "MD5", id="apache's md5"),
        pytest.param("bob:$1$x$y", "MD5", id="md5"),
        pytest.param("bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1", id="sha1"),
        pytest.param("bob:{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1", id="salted sha1"),
        pytest.param("bob:$5$x$y", "SHA-256 crypt", id="sha256 crypt"),
        pytest.param("bob:$6$x$y", "SHA-512 crypt", id="sha512 crypt"),
        pytest.param("bob:rl0uE4.WC2mYw", "neither bcrypt", id="des crypt"),
        pytest.param("bob:secret", "neither bcrypt", id="plain"),
        pytest.param("bob:", "neither bcrypt", id="empty"),
        pytest.param(f"bob:{GOOD}:more", "neither bcrypt", id="more fields"),
        pytest.param(f"bob:{GOOD.replace('$05$', '$31$')}", "neither bcrypt", id="bcrypt for days"),
        pytest.param(
            f"bob:{ARGON2.replace('65536', '4194304')}", "parameters", id="argon2 of 4 GiB"
        ),
        pytest.param(f"bob:{ARGON2.replace('t=3', 't=99')}", "parameters", id="argon2 for hours"),
        pytest.param(f"bob:{ARGON2.replace('65536', '8')}", "parameters", id="argon2 too small"),
        pytest.param(
            f"bob:{ARGON2.replace('argon2id', 'argon2i')}", "neither bcrypt", id="argon2i"
        ),
        pytest.param("bob", "user:hash", id="no colon"),
        pytest.param(f":{GOOD}", "user:hash", id="no name"),
        pytest.param(f"b b:{GOOD}", "user:hash", id="a space in a name"),
        pytest.param(f"alice:{GOOD}", "already", id="twice"),
    ],
)
def test_lines_that_are_not_taken(line: str, says: str) -> None:
    hashes, problems = parse_password_file(f"alice:{GOOD}\n{line}\n")
    assert hashes == {"alice": GOOD}
    assert len(problems) == 1
    assert "line 2" in problems[0]
    assert says in problems[0]
    assert line.partition(":")[2] not in problems[0] or len(line.partition(":")[2]) < 2


def test_lines_that_are_taken() -> None:
    text = f"# comment\n\nalice:{GOOD}\nbob:{ARGON2}\n"
    assert parse_password_file(text) == ({"alice": GOOD, "bob": ARGON2}, ())


def test_an_empty_file_is_a_mistake() -> None:
    assert parse_password_file("# nobody\n") == ({}, ("has no users",))


def test_many_users_are_too_many() -> None:
    text = "\n".join(f"user{n}:{GOOD}" for n in range(10_001))
    assert "at most" in parse_password_file(text)[1][0]


BASE: dict[str, Any] = {
    "secret_keys": ["Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"],
    "sessions": {"store": "memory://"},
}
USERS: dict[str, Any] = {"users": f"alice:{GOOD}"}
ROUTE: dict[str, Any] = {
    "from": "https://a.example.com",
    "allow_any_authenticated_user": True,
    "basic_auth": True,
}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"basic_auth": USERS, "routes": [ROUTE]}, [], id="sound, and no provider"),
        pytest.param({"routes": [ROUTE]}, ["needs a password file"], id="no file"),
        pytest.param(
            {"basic_auth": {"users": "alice:{SHA}x"}, "routes": [ROUTE]},
            ["SHA-1"],
            id="a weak hash",
        ),
        pytest.param(
            {"basic_auth": USERS | {"realm": 'a"b'}, "routes": [ROUTE]},
            ["quotation marks"],
            id="a realm that would end early",
        ),
        pytest.param(
            {"basic_auth": USERS | {"groups": {"eng": ["alice", "bob"]}}, "routes": [ROUTE]},
            ["`bob` is not in the password file"],
            id="a member who is not there",
        ),
        pytest.param(
            {
                "basic_auth": USERS,
                "routes": [{**ROUTE, "from": "http://a.example.com"}],
                "server": {"allow_insecure_http": True},
            },
            ["passwords unencrypted"],
            id="in the clear",
        ),
        pytest.param(
            {"basic_auth": USERS, "routes": [{**ROUTE, "from": "http://app.localhost:8080"}]},
            [],
            id="on loopback",
        ),
        pytest.param(
            {
                "identity_providers": {
                    "htpasswd": {"issuer": "https://idp.example.com", "client_id": "x"},
                },
            },
            ["reserved for accounts of the sidecar"],
            id="a provider of that name",
        ),
        pytest.param(
            {
                "identity_providers": {
                    "service-account": {"issuer": "https://idp.example.com", "client_id": "x"},
                },
            },
            ["reserved for accounts of the sidecar"],
            id="a provider called as service accounts are",
        ),
        pytest.param(
            {
                "token_issuers": {
                    "service-account": {"issuer": "https://ci.example.com", "audiences": ["x"]},
                },
            },
            ["reserved for accounts of the sidecar"],
            id="an issuer called as service accounts are",
        ),
    ],
)
def test_rules_about_them(settings: dict[str, Any], says: list[str]) -> None:
    found = [
        problem.message for problem in find_problems(Config.model_validate({**BASE, **settings}))
    ]
    assert len(found) == len(says), found
    assert all(text in message for text, message in zip(says, found, strict=True))
