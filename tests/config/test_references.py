from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.config.references import (
    MAX_FILE_BYTES,
    ReferenceResolver,
    UnresolvedReferenceError,
    reference_kind,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def surroundings(tmp_path: Path) -> ReferenceResolver:
    return ReferenceResolver(env={"NAME": "value", "EMPTY": ""}, directory=tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(b"secret\n", "secret", id="one line break goes"),
        pytest.param(b"secret\r\n", "secret", id="so does one of two bytes"),
        pytest.param(b"secret\n\n", "secret\n", id="a second stays"),
        pytest.param(b" secret ", " secret ", id="white space stays"),
        pytest.param("schlüssel".encode(), "schlüssel", id="utf-8"),
    ],
)
def test_files_beside_the_configuration(
    surroundings: ReferenceResolver, tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    assert surroundings.resolve("file", "key") == text
    assert surroundings.resolve("file", str(tmp_path / "key")) == text


def test_variables(surroundings: ReferenceResolver) -> None:
    assert surroundings.resolve("env", "NAME") == "value"
    assert surroundings.resolve("env", "EMPTY") == ""


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        pytest.param(
            "env", "NOWHERE", "the environment variable `NOWHERE` is not set", id="not set"
        ),
        pytest.param("env", 5, "`env` needs the name of a variable as text", id="a number"),
        pytest.param("file", "", "`file` needs the name of a file as text", id="empty"),
        pytest.param("file", "nowhere", "no such file or directory", id="missing"),
        pytest.param("file", ".", "is a directory", id="directory"),
        pytest.param("file", "latin", "is not text in UTF-8", id="latin-1"),
        pytest.param("file", "large", "is larger than 1 MiB", id="large"),
        pytest.param("file", "a\0b", "null byte", id="null byte"),
    ],
)
def test_unreadable(
    surroundings: ReferenceResolver, tmp_path: Path, kind: Any, name: Any, message: str
) -> None:
    (tmp_path / "latin").write_bytes("schlüssel".encode("latin-1"))
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(UnresolvedReferenceError) as caught:
        surroundings.resolve(kind, name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param({"env": "A"}, "env", id="env"),
        pytest.param({"file": "a"}, "file", id="file"),
        pytest.param({"env": "A", "file": "a"}, None, id="both"),
        pytest.param({"env": {"x": 1}}, None, id="a map called env"),
        pytest.param({"other": "A"}, None, id="another key"),
        pytest.param({}, None, id="empty"),
    ],
)
def test_what_a_reference_is(data: dict[str, object], kind: str | None) -> None:
    assert reference_kind(data) == kind
