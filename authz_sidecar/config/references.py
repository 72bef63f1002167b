"""References in place of values: `{env: NAME}`, `{file: PATH}`, `{var: NAME}` and `{text:
TEMPLATE}`.

Decides where the text comes from; the schema decides what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.transient_errors import raise_if_temporary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Keys, certificates and passwords; anything larger is the wrong file.
MAX_FILE_BYTES = 1 << 20


class ExternalText(str):
    """Text from an environment variable or a file. It has no YAML type: where the schema wants a
    number or a boolean, it is parsed from this text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class DeferredReference:
    """A reference to variables, which are known only once every file has been read."""

    kind: str
    text: str


class UnresolvedReferenceError(ValueError):
    """A reference that cannot be resolved. The message names the variable or file, never its
    content."""


_EXPECTED_NAMES = {
    "env": "the name of a variable",
    "file": "the name of a file",
    "var": "the name of one of `variables`",
    "text": "a template for `variables`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceResolver:
    """Resolves references: `env` are the environment variables, `directory` is where relative paths
    start."""

    env: Mapping[str, str]
    directory: Path

    def resolve(self, kind: str, name: object) -> ExternalText | DeferredReference:
        """Return the text behind `{kind: name}`, or a deferred reference to variables. Raises
        `UnresolvedReferenceError`, and `TemporaryError` when a file cannot be read at the
        moment."""
        if not isinstance(name, str) or not name:
            raise UnresolvedReferenceError(f"`{kind}` needs {_EXPECTED_NAMES[kind]} as text")
        match kind:
            case "env":
                return self._read_variable(name)
            case "file":
                return self._read_file(name)
            case _:
                return DeferredReference(kind, name)

    def _read_variable(self, name: str) -> ExternalText:
        if name not in self.env:
            raise UnresolvedReferenceError(f"the environment variable `{name}` is not set")
        return ExternalText(self.env[name])

    def _read_file(self, name: str) -> ExternalText:
        path = self.directory / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = None
            if isinstance(error, OSError):
                raise_if_temporary(error, path)
                reason = error.strerror
            raise UnresolvedReferenceError(
                f"cannot read the file `{path}`: {reason or error}".lower()
            ) from None
        if len(content) > MAX_FILE_BYTES:
            raise UnresolvedReferenceError(
                f"the file `{path}` is larger than {MAX_FILE_BYTES >> 20} MiB"
            )
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise UnresolvedReferenceError(f"the file `{path}` is not text in UTF-8") from None
        return ExternalText(text.removesuffix("\n").removesuffix("\r"))


REFERENCE_KINDS = frozenset({"env", "file", "var", "text"})


def reference_kind(data: Mapping[str, object]) -> str | None:
    """Return the key of a map that is a reference (that key alone, with a scalar value), otherwise
    None."""
    if len(data) != 1:
        return None
    [(kind, name)] = data.items()
    return kind if kind in REFERENCE_KINDS and not isinstance(name, dict | list) else None
