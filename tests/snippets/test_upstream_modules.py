"""The includes for FastCGI, SCGI, uWSGI and gRPC say what those for `proxy_pass` say."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from authz_sidecar.snippets import DeploymentFacts, render_snippet
from authz_sidecar.snippets.edit import DriftError, TextFile
from authz_sidecar.snippets.facts import ForwardedCertificate as Forwarded
from authz_sidecar.snippets.upstream_modules import (
    CGI_MODULES,
    MAX_HEADER_NAME_LENGTH,
    UPSTREAM_MODULES,
    derive_includes,
    is_derived,
    write_derived_includes,
)
from authz_sidecar.snippets.write import deploy_directory
from tests.servers.nginx import Nginx
from tests.snippets.test_write import MINE

AUTHZ = deploy_directory() / "nginx" / "authz"
SOURCES = {
    path.name: TextFile(path.name, path.read_text())
    for path in AUTHZ.glob("*.conf")
    if not is_derived(path.name)
}
INCLUDES = [
    f"{kind}-{module}.conf" for kind in ("protect", "unprotected") for module in UPSTREAM_MODULES
]
LONGEST = f"X-{'a' * (MAX_HEADER_NAME_LENGTH - 2)}"


def files_of(facts: DeploymentFacts) -> dict[str, str]:
    return {Path(name).name: text for name, text in render_snippet("nginx", facts).files.items()}


DEPLOYED = {path.name: path.read_text() for path in AUTHZ.glob("*.conf")}
MORE = replace(
    MINE,
    headers=(*MINE.headers, "X-Cost-Centre"),
    certificate=Forwarded(header=LONGEST, format="nginx"),
)
EACH_SET = pytest.mark.parametrize(
    "files",
    [
        pytest.param(DEPLOYED, id="deployed"),
        pytest.param(files_of(MORE), id="snippet"),
        pytest.param(files_of(replace(MINE, strip_cookie=False)), id="cookies kept"),
    ],
)


def whole(files: dict[str, str], name: str) -> str:
    """The text with every include in its place, as nginx reads it."""
    return re.sub(
        r"^include authz/([\w-]+\.conf);",
        lambda found: whole(files, found[1]),
        files[name],
        flags=re.MULTILINE,
    )


def headers(text: str, module: str) -> dict[str, str]:
    """What the module's directive says of each header, under its name in lower case."""
    if module in CGI_MODULES:
        said = rf"^{module}_param HTTP_(\S+) (\S+?)(?: if_not_empty)?;"
    else:
        said = rf"^{module}_set_header\s+(\S+)\s+(\S+);"
    return {
        found[1].lower().replace("_", "-"): found[2]
        for found in re.finditer(said, text, re.MULTILINE)
    }


def test_the_files_of_deploy_are_derived() -> None:
    expected = {Path(text.name).name: text.content for text in derive_includes(SOURCES)}
    found = {name: text for name, text in DEPLOYED.items() if is_derived(name)}
    assert found == expected, "run `make nginx-includes`"


def test_they_are_written_beside_their_sources(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text.content)
    (tmp_path / "app-grpc.conf").write_text("what was there before")
    write_derived_includes(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == DEPLOYED


@EACH_SET
@pytest.mark.parametrize("module", UPSTREAM_MODULES)
@pytest.mark.parametrize("kind", ["protect", "unprotected"])
def test_each_says_of_every_header_what_is_said_for_proxy_pass(
    files: dict[str, str], kind: str, module: str
) -> None:
    expected = headers(whole(files, f"{kind}.conf"), "proxy")
    cleared = headers(files["clear-identity.conf"] + files["clear-client.conf"], "proxy")
    assert cleared.keys() <= expected.keys()
    # The request line and the connection are each module's own.
    for own in ("host", "upgrade", "connection"):
        expected.pop(own)
    found = headers(whole(files, f"{kind}-{module}.conf"), module)
    assert found.pop("proxy") == '""'
    expected.pop("proxy", None)
    for own in ("host", "upgrade", "connection"):
        found.pop(own, None)
    assert found == expected


@EACH_SET
@pytest.mark.parametrize("module", CGI_MODULES)
def test_only_a_websocket_is_passed_on(files: dict[str, str], module: str) -> None:
    found = headers(files[f"app-{module}.conf"], module)
    assert (found["upgrade"], found["connection"]) == ("$authz_upgrade", "$authz_connection")


@EACH_SET
@pytest.mark.parametrize("module", CGI_MODULES)
def test_a_value_that_may_be_empty_is_not_sent_empty(files: dict[str, str], module: str) -> None:
    for kind in ("protect", "unprotected"):
        text = whole(files, f"{kind}-{module}.conf")
        for line in re.findall(rf"^{module}_param HTTP_.*", text, re.MULTILINE):
            assert ' "";' in line or " if_not_empty;" in line


@EACH_SET
@pytest.mark.parametrize("module", CGI_MODULES)
def test_the_user_is_named_last_and_even_when_there_is_none(
    files: dict[str, str], module: str
) -> None:
    named, nobody = (
        re.findall(rf"^{module}_param REMOTE_USER .*", whole(files, name), re.MULTILINE)
        for name in (f"protect-{module}.conf", f"unprotected-{module}.conf")
    )
    assert named == [f"{module}_param REMOTE_USER $authz_user;"]
    assert nobody == [f'{module}_param REMOTE_USER "";']


@EACH_SET
@pytest.mark.parametrize("module", ["proxy", *UPSTREAM_MODULES])
@pytest.mark.parametrize("kind", ["protect", "unprotected"])
def test_another_module_gets_no_header_of_the_clients(
    files: dict[str, str], kind: str, module: str
) -> None:
    ending = "" if module == "proxy" else f"-{module}"
    text = whole(files, f"{kind}{ending}.conf")
    said = dict(re.findall(r"^(\w+)_pass_request_headers (on|off);", text, re.MULTILINE))
    others = {other: "on" if other == module else "off" for other in ("proxy", *CGI_MODULES)}
    assert said == others
    if module != "grpc":
        identity = headers(files["clear-identity.conf"], "proxy").keys()
        assert headers(text, "grpc") == dict.fromkeys((*identity, "cookie"), '""')


@EACH_SET
@pytest.mark.parametrize("module", ["proxy", *UPSTREAM_MODULES])
def test_the_applications_own_refusals_are_its_own(files: dict[str, str], module: str) -> None:
    ending = "" if module == "proxy" else f"-{module}"
    text = whole(files, f"protect{ending}.conf")
    assert re.findall(r"^\w+_intercept_errors \w+;", text, re.MULTILINE) == [
        f"{module}_intercept_errors off;"
    ]
    assert len(re.findall(r"^auth_request /_authz_check;", text, re.MULTILINE)) == 1


def test_a_certificate_is_cleared_by_all() -> None:
    files = files_of(MORE)
    for name in INCLUDES:
        module = name.removesuffix(".conf").rpartition("-")[2]
        assert headers(whole(files, name), module)[LONGEST.lower()] == '""'


def test_a_name_that_nginx_cannot_clear_leaves_them_out() -> None:
    snippet = render_snippet("nginx", replace(MINE, headers=(*MINE.headers, f"{LONGEST}b")))
    names = {Path(name).name for name in snippet.files}
    assert not any(map(is_derived, names))
    assert "not-grpc" not in "".join(snippet.files.values())
    assert any(f"`{LONGEST}b`" in note and "fastcgi_pass" in note for note in snippet.notes)
    assert not any("fastcgi_pass" in note for note in render_snippet("nginx", MORE).notes)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        pytest.param("app.conf", "proxy_redirect off;", id="a directive without a rule"),
        pytest.param("protect.conf", "include authz/more.conf;", id="an include without a rule"),
        pytest.param("clear-client.conf", 'proxy_set_header A ""; # a; b;', id="a note"),
        pytest.param("clear-client.conf", "proxy_set_header A", id="no end"),
        pytest.param(
            "clear-client.conf", 'proxy_set_header A ""; proxy_set_header B "";', id="two"
        ),
    ],
)
def test_what_no_rule_translates_is_refused(file: str, line: str) -> None:
    spoilt = {**SOURCES, file: TextFile(file, f"{SOURCES[file].content}{line}\n")}
    if "#" in line:
        assert len(derive_includes(spoilt)) == len(derive_includes(SOURCES))
        return
    with pytest.raises(DriftError):
        derive_includes(spoilt)


@pytest.mark.parametrize(
    "facts",
    [pytest.param(MORE, id="more"), pytest.param(replace(MINE, strip_cookie=False), id="mine")],
)
def test_nginx_accepts_them(facts: DeploymentFacts, tmp_path: Path) -> None:
    binary = Nginx().binary()
    if binary is None:
        pytest.skip("nginx is not installed")
    files = files_of(facts)
    (tmp_path / "authz").mkdir()
    for name, text in files.items():
        (tmp_path / "authz" / name).write_text(text)
    locations = [
        f"location /{name} {{ include authz/{name}; {passed(name)} }}" for name in INCLUDES
    ]
    # Inside one for `proxy_pass`, as people nest them.
    nested = [
        f"location /in/{name} {{ include authz/{name}; {passed(name)} }}" for name in INCLUDES
    ]
    text = "\n".join(
        [
            "events {}",
            "http {",
            files["http.conf"],
            "server { listen 127.0.0.1:1;",
            files["sidecar.conf"],
            *locations,
            "location /in { include authz/protect.conf; proxy_pass http://127.0.0.1:1;",
            *nested,
            "} } }",
        ]
    )
    (tmp_path / "nginx.conf").write_text(text)
    command = (binary, "-t", "-p", str(tmp_path), "-e", "stderr", "-c", "nginx.conf")
    done = subprocess.run(
        (*command, "-g", f"pid {tmp_path}/nginx.pid;"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def passed(name: str) -> str:
    module = name.removesuffix(".conf").rpartition("-")[2]
    return f"{module}_pass {'grpc://' if module == 'grpc' else ''}127.0.0.1:1;"
