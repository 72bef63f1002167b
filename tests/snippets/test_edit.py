from __future__ import annotations

import pytest

from authz_sidecar.snippets.edit import EXAMPLE_HEADERS, DriftError, TextFile, variable_name

ALIGNED = """\
set authz_user       $http_x_auth_user;
set authz_email      $http_x_auth_email;
set authz_groups     $http_x_auth_groups;
set authz_name       $http_x_auth_name;
set authz_assertion  $http_x_auth_assertion;
set authz_set_cookie $http_set_cookie;
"""


def test_the_examples_own_headers_change_nothing() -> None:
    assert TextFile("a", ALIGNED).with_headers(EXAMPLE_HEADERS).content == ALIGNED


def test_columns_are_kept_where_there_is_room() -> None:
    text = TextFile("a", ALIGNED).with_headers(("X-Auth-User", "X-Very-Long-Department"))
    assert text.content == (
        "set authz_user       $http_x_auth_user;\n"
        "set authz_x_very_long_department $http_x_very_long_department;\n"
        "set authz_set_cookie $http_set_cookie;\n"
    )


def test_repetitions_of_several_lines() -> None:
    lines = "".join(
        f"@{h[7:].lower()} not {h}\nset @{h[7:].lower()} {h}\n" for h in EXAMPLE_HEADERS
    )
    assert TextFile("a", lines).with_headers(("X-A",)).content == "@x_a not X-A\nset @x_a X-A\n"


def test_a_mention_of_one_header_alone_stays() -> None:
    text = "# `X_Auth_User` and `X-Auth-User` are one\nX-Auth-User\nX-Auth-Email\n"
    assert TextFile("a", text).with_headers(("X-A",)).content == text


def test_blocks() -> None:
    text = TextFile("a", "a {\n  x\n}\n\n# about b\nb {\n  inner {\n    y\n  }\n}\n\nc {\n}\n")
    assert text.without_block("b {").content == "a {\n  x\n}\n\nc {\n}\n"
    assert text.without_block("y", inside=True).content == (
        "a {\n  x\n}\n\n# about b\nb {\n}\n\nc {\n}\n"
    )
    yaml = TextFile("a", "a:\n  # about x\n  x:\n    - 1\n\n  y: 2\n")
    assert yaml.without_block("  x:").content == "a:\n\n  y: 2\n"


def test_lines() -> None:
    text = TextFile("a", "  one\n  two\n")
    assert text.insert_after_line("one", "more").content == "  one\n  more\n  two\n"
    assert text.without_lines("one").content == "  two\n"


@pytest.mark.parametrize("edit", ["replace", "without_lines", "insert_after_line", "without_block"])
def test_what_is_not_there_cannot_be_edited(edit: str) -> None:
    arguments = ("absent", "new") if edit == "replace" else ("absent",)
    with pytest.raises(DriftError):
        getattr(TextFile("a", "text\n"), edit)(*arguments)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        pytest.param("X-Auth-User", "user", id="ours"),
        pytest.param("X-Department", "x_department", id="another"),
        pytest.param("X-Auth-Reason", "x_auth_reason", id="taken"),
        pytest.param("Remote-User", "remote_user", id="without x"),
    ],
)
def test_variables(header: str, name: str) -> None:
    assert variable_name(header) == name
