from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from authz_sidecar.config.load import MAX_CONFIG_BYTES, examine_config, load_config
from authz_sidecar.config.schema import Secret
from authz_sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOUND = """\
secret_keys: [{env: KEY}]
sessions: {store: "redis://:hunter2@127.0.0.1:6379/0"}
identity_providers:
  corp: {issuer: https://idp.example.com, client_id: authz, client_secret: {file: secret}}
policies:
  engineers:
    - allow: {and: [{groups: {has: eng}}]}
routes:
  - {name: wiki, from: https://wiki.example.com, policies: engineers, identity_provider: corp}
"""
ENV = {"KEY": "Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"}


class Write(Protocol):
    def __call__(self, text: str, name: str = ...) -> Path: ...


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "secret").write_text("s3cret\n")

    def write(text: str, name: str = "authz-sidecar.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def said(path: Path, env: Mapping[str, str] = ENV) -> list[str]:
    return [str(p).removeprefix(f"{path}:") for p in examine_config(path, env=env).problems]


def test_a_sound_configuration(write: Write) -> None:
    config = load_config(write(SOUND), env=ENV)
    assert config.secret_keys == (Secret(ENV["KEY"]),)
    assert config.identity_providers["corp"].client_secret == Secret("s3cret")
    assert config.routes[0].from_ == "https://wiki.example.com"
    assert config.routes[0].policies == ("engineers",)
    assert config.policies == {"engineers": [{"allow": {"and": [{"groups": {"has": "eng"}}]}}]}
    assert config.sessions.lifetime == 14 * 3600
    assert str(config.server.listen) == "127.0.0.1:9180"


def test_it_knows_where_everything_was_written(write: Write) -> None:
    path = write(SOUND)
    assert load_config(path, env=ENV).source_map.location_of("routes", 0, "from") == (
        str(path),
        9,
        24,
    )


def test_no_secret_is_ever_shown(write: Write) -> None:
    config = load_config(write(SOUND), env=ENV)
    for text in (repr(config), str(config), repr(vars(config))):
        assert "hunter2" not in text
        assert "s3cret" not in text
        assert ENV["KEY"] not in text


def test_no_problem_shows_a_secret(write: Write) -> None:
    path = write(
        "secret_keys: [short-secret, {x: deep-secret}]\n"
        "sessions: {store: 'https://:hunter2@db'}\n"
        "assertion: {signing_keys: [hidden-key]}\n"
        "identity_providers: {corp: {issuer: 'x', client_id: [1], client_secret: {y: hidden}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path, env={})
    for secret in ("short-secret", "deep-secret", "hunter2", "hidden"):
        assert secret not in str(caught.value)


def test_a_template_is_read_with_the_rest(write: Write) -> None:
    route = "{from: https://a.example.com, policies: engineers, set_request_headers: {X-A: %s}}"
    sound = load_config(write(SOUND + "  - " + route % '"a $$5"' + "\n"), env=ENV)
    assert sound.routes[1].set_request_headers["X-A"].parts == ("a $5",)
    [problem] = said(write(SOUND + "  - " + route % "$pomerium.id_token" + "\n"))
    assert problem.startswith(
        "10:83: routes[1].set_request_headers.X-A: `pomerium.id_token` is not available: "
    )


def test_it_is_frozen(write: Write) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config(write(SOUND), env=ENV).server.workers = 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param("sever: {}", "10:1: sever: there is no such key (did you mean `server`?)",
                     id="unknown key, top level"),
        pytest.param("server: {lisen: x}",
                     "10:10: server.lisen: there is no such key (did you mean `listen`?)",
                     id="unknown key, in a section"),
        pytest.param("server: {quux: 1}", "10:10: server.quux: there is no such key", id="nothing close"),
        pytest.param("server: 5", "10:9: server: must be a map of keys and values", id="no map"),
        pytest.param("server:", "10:8: server: must be a map of keys and values", id="nothing"),
        pytest.param("server: {adapters: nginx}", "10:20: server.adapters: must be a list", id="no list"),
        pytest.param("server: {adapters: []}", "10:10: server.adapters: must not be empty", id="empty"),
        pytest.param("server: {adapters: [nginx, nginx]}",
                     "10:10: server.adapters: `nginx` is given twice", id="twice"),
        pytest.param("server: {adapters: [ngnix]}",
                     "10:21: server.adapters[0]: must be `nginx`, `ingress-nginx`, `traefik`, `envoy`,"
                     " `caddy` or `haproxy`, not `ngnix` (did you mean `nginx`?)", id="choice"),
        pytest.param("server: {workers: many}", "10:19: server.workers: must be a whole number",
                     id="no number"),
        pytest.param("server: {workers: '2'}", "10:19: server.workers: must be a whole number",
                     id="a number in quotes"),
        pytest.param("server: {workers: 0}", "10:19: server.workers: must be at least 1", id="too few"),
        pytest.param("server: {workers: 1000}", "10:19: server.workers: must be at most 256",
                     id="too many"),
        pytest.param("server: {strip_cookie: yes}",
                     "10:24: server.strip_cookie: must be `true` or `false`", id="yes is a word"),
        pytest.param("server: {base_path: 5}", "10:21: server.base_path: must be text, put it in quotes",
                     id="a number for text"),
        pytest.param("server: {base_path: }",
                     "10:21: server.base_path: must be text, but is empty", id="no text"),
        pytest.param("server: {auth_host: https://a.example.com/x}",
                     "10:21: server.auth_host: `a.example.com/x` is not a host name, without a path",
                     id="origin"),
        pytest.param("assertion: {ttl: 5}", "10:18: assertion.ttl: needs a unit, such as `5s`",
                     id="no unit"),
        pytest.param("assertion: {ttl: soon}",
                     "10:18: assertion.ttl: `soon` is not a duration such as `14h`, `1h30m`, `30s` or"
                     " `500ms`", id="no duration"),
        pytest.param("headers: {claims: {X_Y: z}}",
                     "10:20: headers.claims.X_Y: `X_Y` is not a header name of letters, digits and `-`",
                     id="the name of a key"),
        pytest.param("token_issuers: {ci: {issuer: https://ci.example.com}}",
                     "10:17: token_issuers.ci.audiences: is required", id="issuer without audience"),
        pytest.param("token_issuers: {ci: {issuer: https://x.example, audiences: []}}",
                     "10:49: token_issuers.ci.audiences: must not be empty", id="no audience"),
        pytest.param("token_issuers: {ci: {issuer: https://x.example, audiences: a, algorithms: [HS256]}}",
                     "10:76: token_issuers.ci.algorithms[0]: must be `RS256`, `RS384`, `RS512`, `PS256`,"
                     " `PS384`, `PS512`, `ES256`, `ES384`, `ES512` or `EdDSA`, not `HS256` (did you mean"
                     " `RS256`?)", id="a MAC"),
        pytest.param("default_identity_provider: {env: NOWHERE}",
                     "10:28: default_identity_provider: the environment variable `NOWHERE` is not set",
                     id="variable"),
        pytest.param("server: {}\nserver: {}", "11:1: server: given twice, first on line 10",
                     id="duplicate key"),
    ],
)  # fmt: skip
def test_one_problem(write: Write, line: str, problem: str) -> None:
    assert said(write(SOUND + line + "\n")) == [problem]


def test_all_problems_at_once_in_file_order(write: Write) -> None:
    path = write(
        "server: {workers: none}\n"
        "sessions: {lifetime: 5}\n"
        "identity_providers:\n"
        "  corp: {isuer: x, client_secret: {env: NOWHERE}}\n"
        "routes:\n"
        "  - {from: 5}\n"
        "  - {from: https://a.example.com, identity: optional}\n"
    )
    assert said(path) == [
        "1:1: secret_keys: is required: a list of secrets (`authz-sidecar keys new` makes one)",
        "1:19: server.workers: must be a whole number",
        "2:1: sessions.store: is required, such as `redis://127.0.0.1:6379/0`",
        "2:22: sessions.lifetime: needs a unit, such as `5s`",
        "4:3: identity_providers.corp.client_id: is required",
        "4:3: identity_providers.corp.issuer: is required",
        "4:10: identity_providers.corp.isuer: there is no such key (did you mean `issuer`?)",
        "4:35: identity_providers.corp.client_secret: the environment variable `NOWHERE` is not set",
        "6:12: routes[0].from: must be text, put it in quotes",
        (
            "7:45: routes[1].identity: applies to routes with `allow_public_unauthenticated_access:"
            " true` only: on other routes the policy decides who must be signed in"
        ),
    ]


def test_broken_routes_keep_their_places_for_further_examination(write: Write) -> None:
    path = write(SOUND + "  - {from: 5}\n  - {from: https://b.example.com, polcy: x}\n")
    partial = examine_config(path, env=ENV).partial
    assert partial is not None
    assert len(partial.routes) == 3
    assert partial.routes[2].from_ == "https://b.example.com"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"a: \xff", "1:1: not text in UTF-8", id="not utf-8"),
        pytest.param(b"a: [", "not valid yaml", id="not yaml"),
        pytest.param(b"- a", "1:1: a configuration is a map of keys", id="a list"),
        pytest.param(b"", "secret_keys: is required", id="empty"),
        pytest.param(b"\xef\xbb\xbfserver: {}", "secret_keys: is required", id="byte order mark"),
        pytest.param(
            b"#" * (MAX_CONFIG_BYTES + 1), "the configuration is larger than 32 MiB", id="large"
        ),
    ],
)
def test_no_configuration(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "authz-sidecar.yaml"
    path.write_bytes(content)
    assert any(problem in line for line in said(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read this file: no such file or directory"):
        load_config(tmp_path / "nowhere.yaml", env={})


def test_variables_and_files_hold_numbers_and_truth(write: Write) -> None:
    path = write(SOUND + "server: {workers: {env: WORKERS}, strip_cookie: {env: STRIP}}\n")
    config = load_config(path, env={**ENV, "WORKERS": "3", "STRIP": "false"})
    assert config.server.workers == 3
    assert config.server.strip_cookie is False


def test_a_directory(write: Write, tmp_path: Path) -> None:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    write(SOUND.replace("{file: secret}", "{file: ../secret}"), "conf.d/10-main.yaml")
    write("routes: [{from: https://b.example.com, policies: engineers}]", "conf.d/20-more.yml")
    write("- not ours", "conf.d/.hidden.yaml")
    write("- not ours", "conf.d/notes.txt")
    config = load_config(directory, env=ENV)
    assert [route.from_ for route in config.routes] == [
        "https://wiki.example.com",
        "https://b.example.com",
    ]
    assert config.source_map.location_of("routes", 1)[0] == str(directory / "20-more.yml")


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file in this directory"):
        load_config(tmp_path, env={})


def test_routes_of_several_files_keep_what_could_not_be_read_apart(
    write: Write, tmp_path: Path
) -> None:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    write("routes: [{from: https://a.example.com}]", "conf.d/a.yaml")
    write("routes: [{from: {env: NOWHERE}}]", "conf.d/b.yaml")
    assert [
        p.message for p in examine_config(directory, env={}).problems if "routes" in p.message
    ] == ["routes[1].from: the environment variable `NOWHERE` is not set"]
