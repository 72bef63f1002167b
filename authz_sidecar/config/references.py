"""What stands in a configuration instead of a value: `{env: NAME}`, `{file: PATH}`, `{var: NAME}`
and `{text: TEMPLATE}`.

Decides where the text comes from; what it means is the schema's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.transient_errors import raise_if_temporary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Keys, certificates and passwords; whoever points at more has pointed at the wrong file.
MAX_FILE_BYTES = 1 << 20


class FromOutside(str):
    """Text that came from a variable or a file: it has no YAML type, whoever needs a number reads
    one from it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A reference to variables, which are known once every file has been read."""

    kind: str
    text: str


class UnreadableError(ValueError):
    """The message says which variable or file, never what is in it."""


_WANTED = {
    "env": "the name of a variable",
    "file": "the name of a file",
    "var": "the name of one of `variables`",
    "text": "something to fill `variables` into",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where references lead: the variables, and the directory that relative paths start from."""

    env: Mapping[str, str]
    directory: Path

    def look_up(self, kind: str, name: object) -> FromOutside | Pending:
        """The text behind `{kind: name}`, if that is known yet; raises `UnreadableError`."""
        if not isinstance(name, str) or not name:
            raise UnreadableError(f"`{kind}` wants {_WANTED[kind]}, as text")
        match kind:
            case "env":
                return self._variable(name)
            case "file":
                return self._file(name)
            case _:
                return Pending(kind, name)

    def _variable(self, name: str) -> FromOutside:
        if name not in self.env:
            raise UnreadableError(f"the environment variable `{name}` is not set")
        return FromOutside(self.env[name])

    def _file(self, name: str) -> FromOutside:
        path = self.directory / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = None
            if isinstance(error, OSError):
                raise_if_temporary(error, path)
                reason = error.strerror
            raise UnreadableError(
                f"cannot read the file `{path}`: {reason or error}".lower()
            ) from None
        if len(content) > MAX_FILE_BYTES:
            raise UnreadableError(f"the file `{path}` is larger than {MAX_FILE_BYTES >> 20} MiB")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise UnreadableError(f"the file `{path}` is not text in UTF-8") from None
        return FromOutside(text.removesuffix("\n").removesuffix("\r"))


KINDS = frozenset({"env", "file", "var", "text"})


def reference_kind(data: Mapping[str, object]) -> str | None:
    """Its key when the map is a reference: that key alone, with a scalar behind it."""
    if len(data) != 1:
        return None
    [(kind, name)] = data.items()
    return kind if kind in KINDS and not isinstance(name, dict | list) else None
